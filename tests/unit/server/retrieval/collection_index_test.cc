#include "server/retrieval/collection_index.h"

#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "server/retrieval/confidence.h"
#include "tests/unit/server/retrieval/sample_texts.h"

namespace aibackend::retrieval {
namespace {

std::vector<Change> Adding(int first, int end) {
  std::vector<Change> changes;
  for (int i = first; i < end; ++i) changes.push_back({0, SampleDocument(i)});
  return changes;
}

std::vector<std::string> Ids(const SearchResult& result) {
  std::vector<std::string> ids;
  for (const Hit& hit : result.hits) ids.push_back(hit.document->id);
  return ids;
}

SearchResult Search(const CollectionIndex& index, absl::string_view text, size_t top_k, Mode mode) {
  SearchQuery query;
  query.text = text;
  query.top_k = top_k;
  query.mode = mode;
  return index.Search(query).value();
}

TEST(CollectionIndexTest, AnEmptyIndexFindsNothing) {
  const CollectionIndex index;
  const SearchResult result = Search(index, "anything", 5, Mode::kHybrid);
  EXPECT_TRUE(result.hits.empty());
  EXPECT_EQ(result.confidence, 0);
  EXPECT_EQ(result.mode, Mode::kLexical);
}

TEST(CollectionIndexTest, FewerThanThirtyChunksServeLexically) {
  CollectionIndex index;
  index.Apply(Adding(0, 29));
  EXPECT_FALSE(index.Fit(1));
  const SearchResult result = Search(index, "u7", 5, Mode::kHybrid);
  EXPECT_EQ(result.mode, Mode::kLexical);
  EXPECT_EQ(result.generation, 0);
  ASSERT_EQ(Ids(result), std::vector<std::string>{"d7"});
  EXPECT_EQ(result.hits[0].score, 1);
}

TEST(CollectionIndexTest, AFittedIndexFindsByMeaningToo) {
  CollectionIndex index;
  index.Apply(Adding(0, 80));
  ASSERT_TRUE(index.Fit(3));
  const SearchResult result = Search(index, "violin u6", 10, Mode::kHybrid);
  EXPECT_EQ(result.mode, Mode::kHybrid);
  EXPECT_EQ(result.generation, 3);
  ASSERT_EQ(result.hits.size(), 10U);
  EXPECT_EQ(result.hits[0].document->id, "d6");
  for (size_t i = 0; i < result.hits.size(); ++i) {
    EXPECT_EQ((result.hits[i].document->seq - 1) % 8, 6) << "not about music";
    EXPECT_LE(result.hits[i].score, 1);
    if (i > 0) {
      EXPECT_LE(result.hits[i].score, result.hits[i - 1].score);
    }
  }
}

TEST(CollectionIndexTest, ASecondFitOfTheSameTextsRanksTheSame) {
  CollectionIndex a;
  CollectionIndex b;
  for (CollectionIndex* index : {&a, &b}) {
    index->Apply(Adding(0, 60));
    ASSERT_TRUE(index->Fit(1));
  }
  const SearchResult x = Search(a, "glacier and rainfall", 20, Mode::kHybrid);
  const SearchResult y = Search(b, "glacier and rainfall", 20, Mode::kHybrid);
  ASSERT_EQ(Ids(x), Ids(y));
  for (size_t i = 0; i < x.hits.size(); ++i) EXPECT_EQ(x.hits[i].score, y.hits[i].score);
}

TEST(CollectionIndexTest, WhatIsRemovedNeverComesBack) {
  CollectionIndex index;
  index.Apply(Adding(0, 80));
  ASSERT_TRUE(index.Fit(1));
  index.Apply(Adding(80, 100));
  std::vector<Change> removals;
  for (int i = 0; i < 100; i += 2) removals.push_back({i + 1, nullptr});
  index.Apply(removals);
  EXPECT_EQ(index.chunks(), 50U);
  for (const Mode mode : {Mode::kHybrid, Mode::kDense, Mode::kLexical}) {
    for (int i = 0; i < 100; i += 2) {
      for (const Hit& hit : Search(index, SampleText(i), 100, mode).hits) {
        ASSERT_NE(hit.document, nullptr);
        ASSERT_EQ(hit.document->seq % 2, 0) << hit.document->id;
      }
    }
  }
}

TEST(CollectionIndexTest, SearchesGoOnWhileAHugeDocumentIsRemoved) {
  auto huge = std::make_shared<Document>();
  huge->seq = 1;
  huge->id = "huge";
  for (int i = 0; huge->text.size() < (4 << 20); ++i) absl::StrAppend(&huge->text, SampleText(i));
  huge->chunks = CutIntoChunks(huge->text);
  CollectionIndex index;
  index.Apply({{0, huge}});
  const size_t all = index.chunks();
  ASSERT_GT(all, 20 * CollectionIndex::kStepChunks);
  std::thread remover([&] { index.Apply({{1, nullptr}}); });
  std::set<size_t> seen;
  while (seen.insert(index.chunks()), seen.count(0) == 0) {
  }
  remover.join();
  EXPECT_GT(seen.size(), 2U) << "no look came through between all and none";
  EXPECT_EQ(index.documents(), 0U);
  EXPECT_TRUE(Search(index, "violin", 5, Mode::kHybrid).hits.empty());
}

TEST(CollectionIndexTest, AReplacedDocumentIsFoundByItsNewTextAlone) {
  CollectionIndex index;
  index.Apply(Adding(0, 40));
  ASSERT_TRUE(index.Fit(1));
  auto replacement = std::make_shared<Document>(*SampleDocument(5));
  replacement->seq = 1000;
  replacement->text = "Nothing but zymurgy.";
  replacement->chunks = CutIntoChunks(replacement->text);
  index.Apply({{6, replacement}});
  EXPECT_EQ(Ids(Search(index, "zymurgy", 1, Mode::kHybrid)), std::vector<std::string>{"d5"});
  EXPECT_TRUE(Search(index, "u5", 5, Mode::kLexical).hits.empty());
}

TEST(CollectionIndexTest, AddingInHalvesRanksNearlyAsACleanLoad) {
  CollectionIndex halves;
  halves.Apply(Adding(0, 100));
  ASSERT_TRUE(halves.Fit(1));
  halves.Apply(Adding(100, 200));
  CollectionIndex clean;
  clean.Apply(Adding(0, 200));
  ASSERT_TRUE(clean.Fit(1));
  size_t same = 0;
  for (int i = 0; i < 200; ++i) {
    const std::string query = SampleText(i).substr(0, 60);
    const auto a = Ids(Search(halves, query, 1, Mode::kHybrid));
    const auto b = Ids(Search(clean, query, 1, Mode::kHybrid));
    if (a == b) ++same;
  }
  EXPECT_GE(same, 195U);
}

TEST(CollectionIndexTest, ATextOfUnknownTermsIsLeftToTheLexicalLegs) {
  CollectionIndex index;
  index.Apply(Adding(0, 40));
  ASSERT_TRUE(index.Fit(1));
  EXPECT_TRUE(Search(index, "xyzzy", 5, Mode::kHybrid).hits.empty());
  EXPECT_TRUE(Search(index, "xyzzy", 5, Mode::kDense).hits.empty());
  auto later = std::make_shared<Document>();
  later->seq = 500;
  later->id = "later";
  later->text = "xyzzy plugh";
  later->chunks = CutIntoChunks(later->text);
  index.Apply({{0, later}});
  EXPECT_EQ(Ids(Search(index, "xyzzy", 5, Mode::kHybrid)), std::vector<std::string>{"later"});
}

TEST(CollectionIndexTest, ConfidenceTellsAForeignQuestionFromAnAnswerable) {
  CollectionIndex index;
  index.Apply(Adding(0, 80));
  ASSERT_TRUE(index.Fit(1));
  EXPECT_GT(Search(index, "violin melody", 5, Mode::kHybrid).confidence, 0.6);
  EXPECT_LT(Search(index, "mortgage rates in Ohio", 5, Mode::kHybrid).confidence, 0.47);
}

TEST(CollectionIndexTest, ASmallCollectionIsConfidentOfWhatItAnswers) {
  auto document = std::make_shared<Document>();
  document->seq = 1;
  document->id = "policy";
  document->text = "Refunds are granted within 30 days of purchase. Shipping takes five days.";
  document->chunks = CutIntoChunks(document->text);
  CollectionIndex index;
  index.Apply({{0, document}});
  EXPECT_GT(Search(index, "When are refunds granted?", 5, Mode::kHybrid).confidence, 0.6);
  EXPECT_GT(Search(index, "How long do refunds take?", 5, Mode::kHybrid).confidence, 0.47);
  EXPECT_LT(Search(index, "Who wrote Hamlet?", 5, Mode::kHybrid).confidence, 0.1);
}

TEST(CollectionIndexTest, DenseHitsAreTheSameHoweverManyAreAsked) {
  CollectionIndex index;
  index.Apply(Adding(0, 80));
  ASSERT_TRUE(index.Fit(1));
  const SearchResult all = Search(index, "violin melody", 80, Mode::kDense);
  ASSERT_GE(all.hits.size(), 10U);
  EXPECT_EQ(all.hits.front().score, 1);
  for (size_t i = 0; i < all.hits.size(); ++i) {
    EXPECT_GT(all.hits[i].score, 0);
    if (i > 0) {
      EXPECT_LE(all.hits[i].score, all.hits[i - 1].score);
    }
  }
  for (const size_t count : {1, 3, 10}) {
    const SearchResult some = Search(index, "violin melody", count, Mode::kDense);
    ASSERT_EQ(some.hits.size(), count);
    EXPECT_EQ(some.confidence, all.confidence);
    for (size_t i = 0; i < count; ++i) {
      EXPECT_EQ(some.hits[i].document, all.hits[i].document);
      EXPECT_EQ(some.hits[i].score, all.hits[i].score);
    }
  }
  // What is removed makes room: the second moves up.
  index.Apply({{all.hits.front().document->seq, nullptr}});
  const SearchResult rest = Search(index, "violin melody", 1, Mode::kDense);
  ASSERT_EQ(rest.hits.size(), 1U);
  EXPECT_EQ(rest.hits.front().document, all.hits[1].document);
}

TEST(CollectionIndexTest, SearchesGoOnWhileDocumentsComeAndGo) {
  CollectionIndex index;
  index.Apply(Adding(0, 60));
  ASSERT_TRUE(index.Fit(1));
  absl::Notification is_done;
  std::vector<std::thread> readers;
  for (int reader = 0; reader < 3; ++reader) {
    readers.emplace_back([&, reader] {
      for (int i = reader; !is_done.HasBeenNotified(); i = (i + 1) % 60) {
        // Documents 0 to 59 stay throughout: each is always found by its own word.
        const auto ids = Ids(Search(index, "u" + std::to_string(i), 1, Mode::kHybrid));
        ASSERT_EQ(ids, std::vector<std::string>{"d" + std::to_string(i)});
      }
    });
  }
  // These meet at the gate of the dense leg, and share scans.
  for (int reader = 0; reader < 3; ++reader) {
    readers.emplace_back([&] {
      while (!is_done.HasBeenNotified()) {
        const SearchResult result = Search(index, "violin melody", 5, Mode::kDense);
        ASSERT_EQ(result.hits.size(), 5U);
        for (const Hit& hit : result.hits) ASSERT_NE(hit.document, nullptr);
      }
    });
  }
  for (int round = 0; round < 20; ++round) {
    index.Apply(Adding(100 + 10 * round, 110 + 10 * round));
    std::vector<Change> removals;
    for (int i = 0; i < 5; ++i) removals.push_back({100 + 10 * round + i + 1, nullptr});
    index.Apply(removals);
  }
  is_done.Notify();
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(index.chunks(), 160U);
}

}  // namespace
}  // namespace aibackend::retrieval
