#include "server/retrieval/document_store.h"

#include <atomic>
#include <set>
#include <thread>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "server/base/status.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/server/retrieval/sample_texts.h"
#include "tests/unit/temp_folder.h"

namespace aibackend::retrieval {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::SizeIs;

class DocumentStoreTest : public ::testing::Test {
 protected:
  DocumentStoreTest() { Open(); }

  void Open() {
    store_.reset();
    database_.reset();
    auto database = storage::OpenSqlite(folder_.File("test.db"));
    if (!database.ok()) throw std::runtime_error(database.status().ToString());
    database_ = *std::move(database);
    auto store = DocumentStore::Open(*database_, clock_);
    if (!store.ok()) throw std::runtime_error(store.status().ToString());
    store_ = *std::move(store);
  }

  static StoredDocument Named(const std::string& id, const std::string& text) {
    StoredDocument document;
    document.id = id;
    document.text = text;
    return document;
  }

  static std::vector<StoredDocument> Samples(int first, int end) {
    std::vector<StoredDocument> documents;
    for (int i = first; i < end; ++i) {
      documents.push_back(Named(absl::StrCat("d", i), SampleText(i)));
    }
    return documents;
  }

  std::vector<std::string> Find(const std::string& text, int top_k = 5) {
    std::vector<std::string> ids;
    const RetrieveResult found = *store_->Retrieve({text, top_k});
    for (const Match& m : found.matches) ids.push_back(m.document_id);
    return ids;
  }

  AddedDocument AddOne(StoredDocument document) {
    auto added = store_->Add({}, {std::move(document)});
    EXPECT_TRUE(added.ok()) << added.status();
    return added.ok() ? added->front() : AddedDocument();
  }

  absl::Status Refusal(StoredDocument document) {
    return store_->Add({}, {Named("fine", "fine"), std::move(document)}).status();
  }

  static absl::Status Goes(int64_t, int64_t, absl::string_view) { return absl::OkStatus(); }

  TempFolder folder_;
  FakeClock clock_;
  std::unique_ptr<storage::Database> database_;
  std::unique_ptr<DocumentStore> store_;
};

TEST_F(DocumentStoreTest, EveryChangeOfACollectionIsANewRevisionOfItAndOfNoOther) {
  const CollectionId other = {"default", "someone else"};
  const auto elsewhere = store_->Revision(other);
  std::set<uint64_t> seen = {store_->Revision({}).value()};
  const auto is_new = [&] { return seen.insert(store_->Revision({}).value()).second; };
  EXPECT_FALSE(is_new());
  ASSERT_TRUE(store_->Add({}, Samples(0, 3)).ok());
  EXPECT_TRUE(is_new());
  EXPECT_FALSE(Find(SampleText(0)).empty());
  EXPECT_FALSE(is_new());
  ASSERT_TRUE(store_->Delete({}, "d1").ok());
  EXPECT_TRUE(is_new());
  EXPECT_FALSE(store_->Delete({}, "d1").ok());
  EXPECT_FALSE(is_new());
  ASSERT_TRUE(store_->Rebuild({}, Goes).ok());
  EXPECT_TRUE(is_new());
  ASSERT_TRUE(store_->DeleteCollection({}).ok());
  EXPECT_TRUE(is_new());
  ASSERT_TRUE(store_->Add({}, Samples(0, 3)).ok());
  EXPECT_TRUE(is_new());
  EXPECT_EQ(store_->Revision(other), elsewhere);
}

TEST_F(DocumentStoreTest, WhatIsAddedIsFoundVerbatim) {
  StoredDocument document = Named("policy", "Refunds take 30 days. 返金は三十日以内です。");
  document.title = "Refunds";
  document.source = "policy.md";
  document.metadata = R"({"team":"billing"})";
  EXPECT_EQ(AddOne(document).status, AddStatus::kAdded);
  const RetrieveResult result = *store_->Retrieve({"返金", 5});
  ASSERT_THAT(result.matches, SizeIs(1));
  const Match& match = result.matches[0];
  EXPECT_EQ(match.chunk_id, "policy#0");
  EXPECT_EQ(match.text, document.text.substr(match.start, match.end - match.start));
  EXPECT_EQ(match.title, "Refunds");
  EXPECT_EQ(match.source, "policy.md");
  EXPECT_EQ(match.metadata, document.metadata);
}

TEST_F(DocumentStoreTest, TheSameContentTwiceIsOneDocument) {
  const AddedDocument first = AddOne(Named("", "Some text."));
  EXPECT_EQ(first.id.size(), 4 + 24U);
  EXPECT_EQ(first.id.substr(0, 4), "doc_");
  const AddedDocument again = AddOne(Named("", "Some text."));
  EXPECT_EQ(again.id, first.id);
  EXPECT_EQ(again.status, AddStatus::kUnchanged);
  EXPECT_THAT(store_->List({"", "default"}, 10, "")->documents, SizeIs(1));
}

TEST_F(DocumentStoreTest, OtherContentReplacesTheOldChunks) {
  AddOne(Named("a", "alpha"));
  EXPECT_EQ(AddOne(Named("a", "beta")).status, AddStatus::kUpdated);
  EXPECT_THAT(Find("alpha"), ElementsAre());
  EXPECT_THAT(Find("beta"), ElementsAre("a"));
  StoredDocument titled = Named("a", "beta");
  titled.title = "gamma";
  EXPECT_EQ(AddOne(titled).status, AddStatus::kUpdated);
}

TEST_F(DocumentStoreTest, OfAnIdGivenTwiceInOneCallTheLastStays) {
  const auto added = store_->Add({}, {Named("a", "one"), Named("a", "two"), Named("a", "two")});
  ASSERT_TRUE(added.ok());
  EXPECT_EQ((*added)[0].status, AddStatus::kAdded);
  EXPECT_EQ((*added)[1].status, AddStatus::kUpdated);
  EXPECT_EQ((*added)[2].status, AddStatus::kUnchanged);
  EXPECT_THAT(Find("one two"), ElementsAre("a"));
  EXPECT_THAT(Find("one"), ElementsAre());
}

TEST_F(DocumentStoreTest, ARefusedDocumentStoresNothingOfTheCall) {
  const auto expect = [&](StoredDocument document, v1::Error::Reason reason, const char* field) {
    const absl::Status status = Refusal(std::move(document));
    EXPECT_EQ(ReasonOf(status), reason) << status;
    EXPECT_EQ(FieldOf(status), field);
  };
  expect(Named("x", ""), Reason::FIELD_REQUIRED, "documents[1].text");
  expect(Named("x", "bad \xFF"), Reason::INVALID_UTF8, "documents[1].text");
  expect(Named("x", std::string((8 << 20) + 1, 'x')), Reason::FIELD_OUT_OF_RANGE,
         "documents[1].text");
  expect(Named("a/b", "text"), Reason::FIELD_INVALID, "documents[1].id");
  expect(Named("a\nb", "text"), Reason::FIELD_INVALID, "documents[1].id");
  expect(Named(std::string(257, 'i'), "text"), Reason::FIELD_OUT_OF_RANGE, "documents[1].id");
  StoredDocument document = Named("x", "text");
  document.title = std::string(1025, 't');
  expect(document, Reason::FIELD_OUT_OF_RANGE, "documents[1].title");
  document = Named("x", "text");
  document.metadata = "[1]";
  expect(document, Reason::FIELD_INVALID, "documents[1].metadata");
  EXPECT_EQ(FieldOf(store_->Add({"no/slash"}, {Named("a", "b")}).status()), "collection");
  EXPECT_THAT(store_->List({"", "default"}, 10, "")->documents, SizeIs(0));
}

TEST_F(DocumentStoreTest, DeletedTextNeverComesBack) {
  ASSERT_TRUE(store_->Add({}, Samples(0, 40)).ok());
  ASSERT_TRUE(store_->Delete({}, "d3").ok());
  EXPECT_EQ(ReasonOf(store_->Delete({}, "d3")), Reason::DOCUMENT_NOT_FOUND);
  EXPECT_EQ(ReasonOf(store_->Get({}, "d3").status()), Reason::DOCUMENT_NOT_FOUND);
  const auto is_gone = [&] {
    for (const std::string& id : Find(SampleText(3), 50)) EXPECT_NE(id, "d3");
  };
  is_gone();
  ASSERT_TRUE(store_->Rebuild({}, Goes).ok());
  is_gone();
  Open();
  is_gone();
}

TEST_F(DocumentStoreTest, ListsPageNewestFirst) {
  ASSERT_TRUE(store_->Add({}, Samples(0, 5)).ok());
  ASSERT_TRUE(store_->Add({"other"}, Samples(5, 6)).ok());
  std::vector<std::string> ids;
  std::string token;
  do {
    const auto page = store_->List({}, 2, token);
    ASSERT_TRUE(page.ok());
    for (const auto& d : page->documents) {
      ids.push_back(d.id);
      EXPECT_EQ(d.text, "");
      EXPECT_EQ(d.chunks, 1);
      EXPECT_EQ(d.created_at, clock_.Now());
    }
    token = page->next_page_token;
  } while (!token.empty());
  // Of one call the documents are stored by id.
  EXPECT_THAT(ids, ElementsAre("d4", "d3", "d2", "d1", "d0"));
  EXPECT_THAT(store_->List({"", "default"}, 100, "")->documents, SizeIs(6));
  EXPECT_EQ(ReasonOf(store_->List({"", "default"}, 2, "x").status()), Reason::PAGE_TOKEN_INVALID);
}

TEST_F(DocumentStoreTest, CollectionsDoNotSeeEachOther) {
  ASSERT_TRUE(store_->Add({"a"}, {Named("1", "apple")}).ok());
  ASSERT_TRUE(store_->Add({"b"}, {Named("1", "banana")}).ok());
  RetrieveQuery query{"apple banana", 5, {"a"}};
  ASSERT_THAT(store_->Retrieve(query)->matches, SizeIs(1));
  EXPECT_EQ(store_->Retrieve(query)->matches[0].text, "apple");
  query.collection.name = "unknown";
  EXPECT_THAT(store_->Retrieve(query)->matches, SizeIs(0));
  EXPECT_EQ(store_->Get({"b"}, "1")->text, "banana");
}

TEST_F(DocumentStoreTest, TenantsDoNotSeeEachOther) {
  ASSERT_TRUE(store_->Add({"shared", "ant"}, {Named("1", "apple")}).ok());
  ASSERT_TRUE(store_->Add({"shared", "bee"}, {Named("1", "banana")}).ok());
  Open();
  RetrieveQuery query{"apple banana", 5, {"shared", "bee"}};
  ASSERT_THAT(store_->Retrieve(query)->matches, SizeIs(1));
  EXPECT_EQ(store_->Retrieve(query)->matches[0].text, "banana");
  EXPECT_EQ(store_->Get({"shared", "ant"}, "1")->text, "apple");
  EXPECT_THAT(store_->List({"", "ant"}, 10, "")->documents, SizeIs(1));
  ASSERT_TRUE(store_->Delete({"shared", "ant"}, "1").ok());
  EXPECT_EQ(store_->Get({"shared", "bee"}, "1")->text, "banana");
  EXPECT_THAT(store_->ListCollections("ant", 10, "")->collections, SizeIs(0));
}

TEST_F(DocumentStoreTest, ACollectionTellsWhatItHoldsAndIsDeletedWhole) {
  ASSERT_TRUE(store_->Add({"a"}, Samples(0, 40)).ok());
  ASSERT_TRUE(store_->Add({"b"}, Samples(0, 2)).ok());
  ASSERT_TRUE(store_->Rebuild({"a"}, Goes).ok());
  auto page = store_->ListCollections("default", 1, "");
  ASSERT_THAT(page->collections, SizeIs(1));
  EXPECT_EQ(page->collections[0].id.name, "a");
  page = store_->ListCollections("default", 1, page->next_page_token);
  ASSERT_THAT(page->collections, SizeIs(1));
  EXPECT_EQ(page->collections[0].id.name, "b");
  EXPECT_EQ(page->collections[0].serving.number, 0);
  EXPECT_EQ(page->collections[0].unembedded_chunks, 2);
  EXPECT_EQ(page->next_page_token, "");

  const CollectionInfo info = *store_->GetCollection({"a"});
  EXPECT_EQ(info.documents, 40);
  EXPECT_EQ(info.chunks, 40);
  EXPECT_EQ(info.unembedded_chunks, 0);
  EXPECT_EQ(info.serving.number, 2);
  EXPECT_EQ(info.serving.embedder, "fitted");
  EXPECT_EQ(info.serving.dimensions, 20);
  ASSERT_THAT(info.former, SizeIs(1));
  EXPECT_EQ(info.former[0].number, 1);

  EXPECT_EQ(*store_->DeleteCollection({"a"}), 40);
  Open();
  EXPECT_EQ(ReasonOf(store_->GetCollection({"a"}).status()), Reason::COLLECTION_NOT_FOUND);
  EXPECT_EQ(ReasonOf(store_->DeleteCollection({"a"}).status()), Reason::COLLECTION_NOT_FOUND);
  const RetrieveQuery query{"violin", 5, {"a"}};
  EXPECT_THAT(store_->Retrieve(query)->matches, SizeIs(0));
  EXPECT_EQ(store_->GetCollection({"b"})->documents, 2);
}

TEST_F(DocumentStoreTest, ThirtyChunksAreFittedAndTheGenerationSurvivesAReopen) {
  ASSERT_TRUE(store_->Add({}, Samples(0, 29)).ok());
  EXPECT_EQ(store_->Retrieve({"violin", 5})->generation, 0);
  EXPECT_EQ(store_->Retrieve({"violin", 5})->mode, Mode::kLexical);
  ASSERT_TRUE(store_->Add({}, Samples(29, 31)).ok());
  EXPECT_EQ(store_->Retrieve({"violin", 5})->generation, 1);
  EXPECT_EQ(store_->Retrieve({"violin", 5})->mode, Mode::kHybrid);
  const auto before = Find("violin melody", 10);
  Open();
  EXPECT_EQ(store_->Retrieve({"violin", 5})->generation, 1);
  EXPECT_EQ(Find("violin melody", 10), before);
}

TEST_F(DocumentStoreTest, RebuildMovesTheGenerationAndTellsItsProgress) {
  ASSERT_TRUE(store_->Add({}, Samples(0, 120)).ok());
  std::vector<int64_t> done;
  const auto result = store_->Rebuild({}, [&](int64_t d, int64_t total, absl::string_view) {
    EXPECT_EQ(total, 120);
    done.push_back(d);
    return absl::OkStatus();
  });
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->documents, 120);
  EXPECT_EQ(result->chunks, 120);
  EXPECT_EQ(result->generation, 2);
  EXPECT_THAT(done, ElementsAre(0, 25, 50, 75, 100, 120, 120, 120));
  EXPECT_EQ(store_->Retrieve({"violin", 5})->generation, 2);
}

TEST_F(DocumentStoreTest, ARebuildThatIsStoppedChangesNothing) {
  ASSERT_TRUE(store_->Add({}, Samples(0, 60)).ok());
  const auto result = store_->Rebuild({}, [](int64_t done, int64_t, absl::string_view) {
    return done > 20 ? absl::CancelledError("stop") : absl::OkStatus();
  });
  EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(store_->Retrieve({"violin", 5})->generation, 1);
}

TEST_F(DocumentStoreTest, ChangesDuringARebuildAreNotLost) {
  ASSERT_TRUE(store_->Add({}, Samples(0, 60)).ok());
  bool has_changed = false;
  const auto result = store_->Rebuild({}, [&](int64_t done, int64_t, absl::string_view) {
    if (done < 50 || has_changed) return absl::OkStatus();
    has_changed = true;
    EXPECT_TRUE(store_->Add({}, {Named("new", "zymurgy")}).ok());
    EXPECT_TRUE(store_->Add({}, {Named("d2", "changed quixotry")}).ok());
    EXPECT_TRUE(store_->Delete({}, "d1").ok());
    return absl::OkStatus();
  });
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(has_changed);
  EXPECT_EQ(result->documents, 60);
  EXPECT_EQ(Find("zymurgy", 1), std::vector<std::string>{"new"});
  EXPECT_EQ(Find("quixotry", 1), std::vector<std::string>{"d2"});
  RetrieveQuery query{"u1 u2", 5};
  query.mode = Mode::kLexical;
  EXPECT_THAT(store_->Retrieve(query)->matches, SizeIs(0));
}

TEST_F(DocumentStoreTest, OutgrowingIsToldOnceForEachGeneration) {
  ASSERT_TRUE(store_->Add({}, Samples(0, 40)).ok());
  std::vector<std::string> told;
  store_->OnOutgrown([&](const CollectionId& collection) {
    told.push_back(collection.name);
    EXPECT_FALSE(Find("violin").empty());  // no lock is held
  });
  ASSERT_TRUE(store_->Add({}, Samples(40, 59)).ok());
  EXPECT_THAT(told, SizeIs(0));
  ASSERT_TRUE(store_->Add({}, Samples(59, 60)).ok());
  ASSERT_TRUE(store_->Add({}, Samples(60, 70)).ok());
  EXPECT_THAT(told, ElementsAre("default"));
  ASSERT_TRUE(store_->Rebuild({}, Goes).ok());
  ASSERT_TRUE(store_->Add({}, Samples(70, 105)).ok());
  EXPECT_THAT(told, ElementsAre("default", "default"));
}

TEST_F(DocumentStoreTest, LosingAThirdOfWhatTheEmbeddingWasFittedOnIsToldToo) {
  ASSERT_TRUE(store_->Add({}, Samples(0, 60)).ok());
  ASSERT_TRUE(store_->Rebuild({}, Goes).ok());
  std::vector<std::string> told;
  store_->OnOutgrown([&](const CollectionId& collection) { told.push_back(collection.name); });
  const auto remove = [&](int first, int last) {
    for (const StoredDocument& document : Samples(first, last)) {
      ASSERT_TRUE(store_->Delete({}, document.id).ok());
    }
  };
  remove(0, 19);
  EXPECT_THAT(told, SizeIs(0));
  remove(19, 30);
  EXPECT_THAT(told, ElementsAre("default"));
}

TEST_F(DocumentStoreTest, AHugeDocumentIsCutStoredAndFound) {
  std::string text;
  for (int i = 0; text.size() < (1 << 20); ++i) {
    absl::StrAppend(&text, "Line ", i, " of the ledger. ");
  }
  text += "The needle is here.";
  const AddedDocument added = AddOne(Named("huge", text));
  EXPECT_GT(added.chunks, 500);
  const RetrieveResult result = *store_->Retrieve({"needle", 1});
  ASSERT_THAT(result.matches, SizeIs(1));
  EXPECT_EQ(result.matches[0].chunk_id, absl::StrCat("huge#", added.chunks - 1));
  EXPECT_EQ(result.matches[0].end, text.size());
  EXPECT_EQ(store_->Get({}, "huge")->text, text);
}

TEST_F(DocumentStoreTest, WhitespaceAloneIsStoredAndFoundByItsTitle) {
  StoredDocument document = Named("blank", " \n ");
  document.title = "Placeholder";
  EXPECT_EQ(AddOne(document).chunks, 1);
  EXPECT_THAT(Find("placeholder"), ElementsAre("blank"));
}

TEST_F(DocumentStoreTest, AnalyzeGivesUnseenTermsTheGreatestWeight) {
  ASSERT_TRUE(store_->Add({}, Samples(0, 20)).ok());
  const auto terms = store_->Analyze("violins xyzzy report", {});
  ASSERT_THAT(terms, SizeIs(3));
  EXPECT_EQ(terms[0].term, "violin");
  EXPECT_GT(terms[1].idf, terms[0].idf);
  EXPECT_GT(terms[0].idf, terms[2].idf);
  EXPECT_THAT(store_->Analyze("violins", {"unknown"}), SizeIs(1));
}

TEST_F(DocumentStoreTest, SearchesAddsAndRebuildsRunSideBySide) {
  ASSERT_TRUE(store_->Add({}, Samples(0, 50)).ok());
  absl::Notification is_done;
  std::thread reader([&] {
    for (int i = 0; !is_done.HasBeenNotified(); i = (i + 1) % 50) {
      ASSERT_EQ(Find(absl::StrCat("u", i), 1), std::vector<std::string>{absl::StrCat("d", i)});
    }
  });
  std::thread writer([&] {
    for (int i = 50; i < 80; ++i) ASSERT_TRUE(store_->Add({}, Samples(i, i + 1)).ok());
  });
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(store_->Rebuild({}, Goes).ok());
  writer.join();
  is_done.Notify();
  reader.join();
  for (int i = 0; i < 80; ++i) {
    EXPECT_EQ(Find(absl::StrCat("u", i), 1), std::vector<std::string>{absl::StrCat("d", i)});
  }
}

}  // namespace
}  // namespace aibackend::retrieval
