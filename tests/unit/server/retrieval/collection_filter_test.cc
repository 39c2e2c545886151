// A search with a filter, through a whole CollectionIndex.
#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "server/base/status.h"
#include "server/retrieval/collection_index.h"
#include "tests/unit/server/retrieval/sample_texts.h"

namespace aibackend::retrieval {
namespace {

constexpr int kDocuments = 120;

// Document i has {"n": i, "topic": i % 8}, and every fifth is in "fives".
DocumentPtr WithMetadata(int i) {
  auto document = std::make_shared<Document>(*SampleDocument(i));
  document->metadata =
      absl::StrCat("{\"n\":", i, ",\"topic\":", i % 8, i % 5 == 0 ? R"(,"group":"fives"})" : "}");
  return document;
}

class CollectionFilterTest : public testing::TestWithParam<Mode> {
 protected:
  CollectionFilterTest() {
    std::vector<Change> changes;
    for (int i = 0; i < kDocuments; ++i) changes.push_back({0, WithMetadata(i)});
    index_.Apply(changes);
    EXPECT_TRUE(index_.Fit(1));
  }

  absl::StatusOr<SearchResult> TrySearch(absl::string_view text, const std::string& filter_json,
                                         size_t top_k = kDocuments) const {
    const MetadataFilter filter = ParseFilter(filter_json, "filter").value();
    SearchQuery query;
    query.text = text;
    query.top_k = top_k;
    query.mode = GetParam();
    query.filter = &filter;
    return index_.Search(query);
  }
  SearchResult Search(absl::string_view text, const std::string& filter,
                      size_t top_k = kDocuments) const {
    return TrySearch(text, filter, top_k).value();
  }

  CollectionIndex index_;
};

INSTANTIATE_TEST_SUITE_P(EachMode, CollectionFilterTest,
                         testing::Values(Mode::kHybrid, Mode::kDense, Mode::kLexical));

std::vector<std::string> Ids(const SearchResult& result) {
  std::vector<std::string> ids;
  for (const Hit& hit : result.hits) ids.push_back(hit.document->id);
  return ids;
}

TEST_P(CollectionFilterTest, AFilterThatEveryDocumentFitsChangesNothing) {
  const SearchResult all = Search("glacier rainfall u19", "");
  const SearchResult filtered = Search("glacier rainfall u19", R"({"n":{"gte":0}})");
  ASSERT_EQ(Ids(all), Ids(filtered));
  for (size_t i = 0; i < all.hits.size(); ++i) EXPECT_EQ(all.hits[i].score, filtered.hits[i].score);
  EXPECT_EQ(all.confidence, filtered.confidence);
}

TEST_P(CollectionFilterTest, WhatFitsIsFoundHoweverManyOthersAreBetter) {
  // Topic 3 is about glaciers; of it d3 and d11 alone are below 12.
  const SearchResult found = Search("glacier rainfall", R"({"n":{"lt":12},"topic":3})", 2);
  std::vector<std::string> ids = Ids(found);
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(ids, (std::vector<std::string>{"d11", "d3"}));
  EXPECT_LE(found.hits[0].score, 1);
  EXPECT_GT(found.hits[0].score, 0.5) << "measured by what may be found, not by what may not";
}

TEST_P(CollectionFilterTest, NothingThatDoesNotFitIsFound) {
  for (const char* text : {"glacier rainfall", "u7 pressure drag", "violin u6 u30"}) {
    const SearchResult found = Search(text, R"({"group":"fives"})");
    EXPECT_FALSE(found.hits.empty()) << text;
    for (const Hit& hit : found.hits) EXPECT_EQ((hit.document->seq - 1) % 5, 0) << text;
  }
}

TEST_P(CollectionFilterTest, ARemovedDocumentIsNotSelectedAndALaterOneIs) {
  index_.Apply({{0 + 1, nullptr}, {0, WithMetadata(kDocuments)}});
  const SearchResult found = Search(SampleText(0) + SampleText(kDocuments), R"({"topic":0})");
  const std::vector<std::string> ids = Ids(found);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), "d0"), 0);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), absl::StrCat("d", kDocuments)), 1);
}

TEST_P(CollectionFilterTest, AFilterThatNothingFitsFindsNothingAndIsSureOfIt) {
  const SearchResult found = Search("glacier rainfall", R"({"group":"sixes"})");
  EXPECT_TRUE(found.hits.empty());
  EXPECT_EQ(found.confidence, 0);
  EXPECT_EQ(found.mode, GetParam());
  EXPECT_EQ(found.generation, 1);
}

TEST_P(CollectionFilterTest, TheConfidenceIsThatOfWhatFits) {
  EXPECT_LT(Search("u17", R"({"topic":2})").confidence, Search("u17", R"({"topic":1})").confidence);
}

TEST_P(CollectionFilterTest, AnUnknownFieldIsAnError) {
  const auto found = TrySearch("glacier", R"({"topik":3})");
  EXPECT_EQ(ReasonOf(found.status()), Reason::FILTER_FIELD_UNKNOWN);
  EXPECT_EQ(FieldOf(found.status()), "filter.topik");
}

class DenseFilterTest : public CollectionFilterTest {};
INSTANTIATE_TEST_SUITE_P(Dense, DenseFilterTest, testing::Values(Mode::kDense));

// A cosine is nobody else's business, so the order is that of all with the others dropped.
TEST_P(DenseFilterTest, TheOrderIsThatOfTheWholeRankingWithTheOthersDropped) {
  for (int i = 0; i < kDocuments; i += 7) {
    std::vector<std::string> expected;
    for (const Hit& hit : Search(SampleText(i), "").hits) {
      if ((hit.document->seq - 1) % 5 == 0) expected.push_back(hit.document->id);
    }
    EXPECT_EQ(Ids(Search(SampleText(i), R"({"group":"fives"})")), expected);
  }
}

class LexicalFilterTest : public CollectionFilterTest {};
INSTANTIATE_TEST_SUITE_P(Lexical, LexicalFilterTest, testing::Values(Mode::kLexical));

// The order may be another: a leg is measured by its best that fits.
TEST_P(LexicalFilterTest, FindsWhatIsFoundWithoutAFilterAndFits) {
  for (int i = 0; i < kDocuments; i += 7) {
    std::set<std::string> expected;
    for (const Hit& hit : Search(SampleText(i), "").hits) {
      if ((hit.document->seq - 1) % 5 == 0) expected.insert(hit.document->id);
    }
    const std::vector<std::string> ids = Ids(Search(SampleText(i), R"({"group":"fives"})"));
    EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()), expected);
  }
}

}  // namespace
}  // namespace aibackend::retrieval
