// The store with embedders outside: generations, crashes, embedders that are away.
#include <map>
#include <thread>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "server/base/status.h"
#include "server/retrieval/document_store.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/server/retrieval/fake_embedder.h"
#include "tests/unit/server/retrieval/sample_texts.h"
#include "tests/unit/temp_folder.h"

namespace aibackend::retrieval {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int kSamples = 40;  // of one chunk each

class StoreEmbeddingTest : public ::testing::Test {
 protected:
  StoreEmbeddingTest() {
    options_.embedders = {&a_, &b_};
    Open();
  }

  void Open() {
    store_.reset();
    database_.reset();
    auto database = storage::OpenSqlite(folder_.File("test.db"));
    if (!database.ok()) throw std::runtime_error(database.status().ToString());
    database_ = *std::move(database);
    auto store = DocumentStore::Open(*database_, clock_, options_);
    if (!store.ok()) throw std::runtime_error(store.status().ToString());
    store_ = *std::move(store);
  }

  void Add(int first, int end) {
    std::vector<StoredDocument> documents;
    for (int i = first; i < end; ++i) {
      documents.emplace_back();
      documents.back().id = absl::StrCat("d", i);
      documents.back().text = SampleText(i);
    }
    const auto added = store_->Add({}, std::move(documents));
    ASSERT_TRUE(added.ok()) << added.status();
  }

  static absl::Status Goes(int64_t, int64_t, absl::string_view) { return absl::OkStatus(); }

  absl::StatusOr<RebuildResult> Switch(const std::string& embedder,
                                       const std::string& order_id = "") {
    return store_->Rebuild({}, {embedder, order_id}, Goes);
  }

  RetrieveResult Find(const std::string& text, Mode mode = Mode::kDense) {
    RetrieveQuery query;
    query.text = text;
    query.mode = mode;
    return *store_->Retrieve(query);
  }

  CollectionInfo Info() { return *store_->GetCollection({}); }

  static absl::Status Away() { return MakeError(Reason::UPSTREAM_UNAVAILABLE, "away"); }

  TempFolder folder_;
  FakeClock clock_;
  FakeEmbedder a_{"a", 64};
  FakeEmbedder b_{"b", 96};
  StoreOptions options_;
  std::unique_ptr<storage::Database> database_;
  std::unique_ptr<DocumentStore> store_;
};

TEST_F(StoreEmbeddingTest, AnEmbedderTakesOverAndItsVectorsServe) {
  Add(0, kSamples);
  EXPECT_EQ(a_.texts(), 0U);
  const auto built = Switch("a");
  ASSERT_TRUE(built.ok()) << built.status();
  EXPECT_EQ(built->embedder, "a");
  EXPECT_EQ(built->generation, 2);
  EXPECT_EQ(Info().serving.embedder, "a");
  EXPECT_EQ(Info().serving.dimensions, 64);
  EXPECT_EQ(Info().unembedded_chunks, 0);
  EXPECT_THAT(Info().former, SizeIs(1));
  // A chunk's own text has its very vector: nothing else could be first by the dense leg alone.
  const RetrieveResult found = Find(SampleText(7));
  EXPECT_EQ(found.mode, Mode::kDense);
  EXPECT_EQ(found.generation, 2);
  ASSERT_FALSE(found.matches.empty());
  EXPECT_EQ(found.matches[0].document_id, "d7");
}

TEST_F(StoreEmbeddingTest, NoTextIsEverEmbeddedTwice) {
  Add(0, kSamples);
  ASSERT_TRUE(Switch("a").ok());
  ASSERT_TRUE(Switch("b").ok());
  ASSERT_TRUE(store_->Rollback({}, 0, "", Goes).ok());
  EXPECT_EQ(Info().serving.embedder, "a");
  Add(kSamples, kSamples + 3);
  Add(0, kSamples + 3);  // unchanged
  ASSERT_TRUE(Switch("").ok());
  Open();
  ASSERT_TRUE(Switch("").ok());
  EXPECT_EQ(a_.texts(), kSamples + 3U);
  EXPECT_EQ(b_.texts(), size_t{kSamples});
  Find("boundary layer");
  Find("boundary layer");
  EXPECT_EQ(a_.texts(), kSamples + 4U);
}

TEST_F(StoreEmbeddingTest, ARestartServesTheSameGenerationWithoutAskingTheEmbedder) {
  Add(0, kSamples);
  ASSERT_TRUE(Switch("a").ok());
  const size_t texts = a_.texts();
  Open();
  EXPECT_EQ(a_.texts(), texts);
  EXPECT_EQ(Info().unembedded_chunks, 0);
  EXPECT_EQ(Info().serving.number, 2);
  EXPECT_EQ(Find(SampleText(9)).matches.at(0).document_id, "d9");
  EXPECT_EQ(Find(SampleText(9)).mode, Mode::kDense);
}

TEST_F(StoreEmbeddingTest, ABuildThatFailsLeavesTheOldGenerationAndKeepsWhatWasPaid) {
  Add(0, kSamples);
  a_.Fail(Away(), 2);  // after 16 texts
  EXPECT_EQ(ReasonOf(Switch("a").status()), Reason::UPSTREAM_UNAVAILABLE);
  EXPECT_EQ(Info().serving.embedder, "fitted");
  EXPECT_EQ(Find("boundary layer").mode, Mode::kDense);
  EXPECT_EQ(a_.texts(), 16U);
  a_.Recover();
  Open();  // as after a crash
  EXPECT_EQ(Info().serving.embedder, "fitted");
  ASSERT_TRUE(Switch("a").ok());
  EXPECT_EQ(a_.texts(), size_t{kSamples});
  EXPECT_THAT(a_.Repeated(), IsEmpty());
}

TEST_F(StoreEmbeddingTest, ProgressCountsChunksAndMayStopTheBuild) {
  Add(0, kSamples);
  int64_t last = 0;
  const auto stop = [&](int64_t done, int64_t total, absl::string_view what) -> absl::Status {
    EXPECT_GE(done, last);
    EXPECT_EQ(total, 2 * kSamples);  // documents and chunks
    last = done;
    if (what == "embedding chunks" && done >= kSamples + 24) {
      return MakeError(Reason::DRAINING, "stop");
    }
    return absl::OkStatus();
  };
  EXPECT_EQ(ReasonOf(store_->Rebuild({}, {"a", ""}, stop).status()), Reason::DRAINING);
  EXPECT_EQ(a_.texts(), 24U);
  EXPECT_EQ(Info().serving.embedder, "fitted");
}

TEST_F(StoreEmbeddingTest, AnEmbedderThatIsAwayLeavesQueriesToTheWordLegs) {
  Add(0, kSamples);
  ASSERT_TRUE(Switch("a").ok());
  a_.Fail(Away());
  const RetrieveResult found = Find("u7", Mode::kHybrid);
  EXPECT_EQ(found.mode, Mode::kLexical);
  EXPECT_TRUE(found.is_degraded);
  EXPECT_FALSE(Find("u7", Mode::kLexical).is_degraded);  // which asks for nothing else
  EXPECT_EQ(found.generation, 2);
  EXPECT_EQ(found.matches.at(0).document_id, "d7");
  a_.Recover();
  // It isn't asked again in the same moment.
  EXPECT_EQ(Find("u7", Mode::kHybrid).mode, Mode::kLexical);
  clock_.Advance(absl::Seconds(2));
  const RetrieveResult again = Find("u7", Mode::kHybrid);
  EXPECT_EQ(again.mode, Mode::kHybrid);
  EXPECT_FALSE(again.is_degraded);
}

TEST_F(StoreEmbeddingTest, AQueryVectorOfAnotherSizeIsNeverSearchedWith) {
  Add(0, kSamples);
  ASSERT_TRUE(Switch("a").ok());
  a_.Resize(32);
  EXPECT_EQ(Find("boundary layer").mode, Mode::kLexical);
}

TEST_F(StoreEmbeddingTest, AnEmbedderThatHasChangedItsSizeIsBuiltWithAnew) {
  Add(0, kSamples);
  ASSERT_TRUE(Switch("a").ok());
  a_.Resize(32);
  Add(kSamples, kSamples + 1);  // of 32: of no use to this index
  EXPECT_EQ(Info().unembedded_chunks, 1);
  const auto built = Switch("a");
  ASSERT_TRUE(built.ok()) << built.status();
  EXPECT_EQ(Info().serving.dimensions, 32);
  EXPECT_EQ(Info().unembedded_chunks, 0);
  EXPECT_EQ(Find(SampleText(3)).matches.at(0).document_id, "d3");
}

TEST_F(StoreEmbeddingTest, WhatIsAddedIsEmbeddedAtOnce) {
  Add(0, kSamples);
  ASSERT_TRUE(Switch("a").ok());
  Add(100, 103);
  EXPECT_EQ(Info().unembedded_chunks, 0);
  EXPECT_EQ(Find(SampleText(101)).matches.at(0).document_id, "d101");
}

TEST_F(StoreEmbeddingTest, WhatIsAddedWhileTheEmbedderIsAwayIsFoundAndEmbeddedLater) {
  std::vector<std::string> reported;
  Add(0, kSamples);
  ASSERT_TRUE(Switch("a").ok());
  store_->OnOutgrown([&](const CollectionId& id) { reported.push_back(id.name); });
  a_.Fail(Away());
  Add(100, 103);
  Add(103, 105);
  EXPECT_EQ(Info().unembedded_chunks, 5);
  EXPECT_THAT(reported, ElementsAre("default"));
  EXPECT_EQ(Find("u101", Mode::kHybrid).matches.at(0).document_id, "d101");
  clock_.Advance(absl::Seconds(2));
  EXPECT_FALSE(Switch("").ok());     // what was reported is tried, to no avail
  EXPECT_THAT(reported, SizeIs(1));  // not again while it fails
  a_.Recover();
  clock_.Advance(absl::Seconds(2));
  Find("it is back", Mode::kHybrid);
  EXPECT_THAT(reported, SizeIs(2));
  Find("and answers", Mode::kHybrid);
  EXPECT_THAT(reported, SizeIs(2));
  ASSERT_TRUE(Switch("").ok());
  EXPECT_EQ(Info().unembedded_chunks, 0);
  EXPECT_THAT(a_.Repeated(), IsEmpty());
  EXPECT_EQ(Find(SampleText(104)).matches.at(0).document_id, "d104");
}

TEST_F(StoreEmbeddingTest, ARestartReportsWhatHasNoVector) {
  Add(0, kSamples);
  ASSERT_TRUE(Switch("a").ok());
  a_.Fail(Away());
  Add(100, 103);
  Open();
  EXPECT_EQ(Info().unembedded_chunks, 3);
  std::vector<std::string> reported;
  store_->OnOutgrown([&](const CollectionId& id) { reported.push_back(id.name); });
  EXPECT_THAT(reported, ElementsAre("default"));
}

TEST_F(StoreEmbeddingTest, ARollbackWorksWhileTheEmbedderIsAway) {
  Add(0, kSamples);
  ASSERT_TRUE(Switch("a").ok());
  ASSERT_TRUE(Switch("b").ok());
  Add(100, 102);  // of which a knows nothing
  a_.Fail(Away());
  const auto back = store_->Rollback({}, 2, "", Goes);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->generation, 4);
  EXPECT_EQ(Info().serving.embedder, "a");
  EXPECT_EQ(Info().unembedded_chunks, 2);
  a_.Recover();
  clock_.Advance(absl::Seconds(2));
  EXPECT_EQ(Find(SampleText(5)).matches.at(0).document_id, "d5");
  EXPECT_EQ(Find("u101", Mode::kHybrid).matches.at(0).document_id, "d101");
}

TEST_F(StoreEmbeddingTest, ARollbackNamesAFormerGeneration) {
  Add(0, kSamples);
  const auto refused = [&](int generation) {
    const absl::Status status = store_->Rollback({}, generation, "", Goes).status();
    EXPECT_EQ(ReasonOf(status), Reason::FIELD_INVALID) << status;
    EXPECT_EQ(FieldOf(status), "params.generation");
  };
  refused(0);  // there is none before
  ASSERT_TRUE(Switch("a").ok());
  refused(2);  // it serves
  refused(7);
  ASSERT_TRUE(store_->Rollback({}, 1, "", Goes).ok());
  EXPECT_EQ(Info().serving.embedder, "fitted");
  EXPECT_EQ(Info().serving.number, 3);
  EXPECT_EQ(Find("boundary layer").mode, Mode::kDense);
}

TEST_F(StoreEmbeddingTest, TheSameOrderTwiceMakesOneGeneration) {
  Add(0, kSamples);
  ASSERT_TRUE(Switch("a", "job_1").ok());
  ASSERT_TRUE(Switch("b", "job_2").ok());
  EXPECT_EQ(Switch("b", "job_2")->generation, 3);
  const auto back = store_->Rollback({}, 0, "job_3", Goes);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->generation, 4);
  Open();
  const auto again = store_->Rollback({}, 0, "job_3", Goes);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->generation, 4);
  EXPECT_EQ(again->embedder, "a");
  EXPECT_EQ(again->chunks, kSamples);
  EXPECT_EQ(Info().serving.number, 4);
}

TEST_F(StoreEmbeddingTest, AnUnknownEmbedderIsAnErrorThatNamesTheKnown) {
  const absl::Status status = Switch("other").status();
  EXPECT_EQ(ReasonOf(status), Reason::MODEL_NOT_FOUND);
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("fitted, a, b"));
}

TEST_F(StoreEmbeddingTest, AnEmbedderThatIsNoLongerConfiguredLosesNoGeneration) {
  Add(0, kSamples);
  ASSERT_TRUE(Switch("a").ok());
  options_.embedders = {&b_};
  Open();
  EXPECT_EQ(Find("u7", Mode::kHybrid).mode, Mode::kLexical);
  EXPECT_EQ(Info().serving.embedder, "a");
  EXPECT_EQ(Info().serving.number, 2);
  EXPECT_EQ(Info().unembedded_chunks, kSamples);
  Add(100, 140);
  EXPECT_EQ(Info().serving.embedder, "a");
  options_.embedders = {&a_, &b_};
  Open();
  EXPECT_EQ(Find(SampleText(7)).matches.at(0).document_id, "d7");
  EXPECT_EQ(Info().unembedded_chunks, 40);
}

TEST_F(StoreEmbeddingTest, BackToTheFittedOneWithFewChunksStaysSoAfterARestart) {
  Add(0, 5);
  ASSERT_TRUE(Switch("a").ok());
  EXPECT_EQ(Find(SampleText(3)).mode, Mode::kDense);  // no number of chunks is too small for it
  ASSERT_TRUE(Switch("fitted").ok());
  EXPECT_EQ(Find(SampleText(3)).mode, Mode::kLexical);
  Open();
  EXPECT_EQ(Info().serving.embedder, "fitted");
  EXPECT_EQ(Find(SampleText(3)).mode, Mode::kLexical);
}

TEST_F(StoreEmbeddingTest, ANewCollectionStartsWithTheEmbedderOfTheSettings) {
  options_.embedder = "a";
  Open();
  Add(0, 3);
  EXPECT_EQ(Info().serving.embedder, "a");
  EXPECT_EQ(Info().serving.number, 1);
  EXPECT_EQ(Info().unembedded_chunks, 0);
  EXPECT_EQ(Find(SampleText(1)).matches.at(0).document_id, "d1");
  Open();
  EXPECT_EQ(Info().serving.number, 1);
  EXPECT_EQ(Find(SampleText(1)).mode, Mode::kDense);
  EXPECT_EQ(a_.texts(), 5U);  // two of them queries: theirs are not in the database
}

TEST_F(StoreEmbeddingTest, VectorsThatNoChunkRefersToAreForgottenByTheNextBuild) {
  Add(0, kSamples);
  ASSERT_TRUE(Switch("a").ok());
  ASSERT_TRUE(Switch("b").ok());
  ASSERT_TRUE(store_->Delete({}, "d0").ok());
  ASSERT_TRUE(Switch("b").ok());
  std::map<std::string, int64_t> kept;
  ASSERT_TRUE(database_
                  ->Read([&](storage::Session& session) {
                    return session.Query(
                        "SELECT embedder_key, COUNT(*) FROM embeddings GROUP BY embedder_key", {},
                        [&](const storage::Row& row) { kept[row.Text(0)] = row.Int(1); });
                  })
                  .ok());
  // Those of the former embedder stay, for a rollback.
  EXPECT_THAT(kept, ElementsAre(std::pair("a", kSamples - 1), std::pair("b", kSamples - 1)));
}

TEST_F(StoreEmbeddingTest, WhatChangesDuringABuildIsInTheNewGeneration) {
  Add(0, kSamples);
  bool is_first = true;
  a_.before = [&](const std::vector<std::string>&) {
    if (!std::exchange(is_first, false)) return;
    Add(100, 103);
    ASSERT_TRUE(store_->Delete({}, "d0").ok());
  };
  ASSERT_TRUE(Switch("a").ok());
  EXPECT_EQ(Info().unembedded_chunks, 0);
  EXPECT_EQ(Info().documents, kSamples + 2);
  EXPECT_EQ(Find(SampleText(102)).matches.at(0).document_id, "d102");
  EXPECT_NE(Find(SampleText(0)).matches.at(0).document_id, "d0");
}

TEST_F(StoreEmbeddingTest, ACollectionDeletedDuringItsBuildStaysDeleted) {
  Add(0, kSamples);
  a_.before = [&](const std::vector<std::string>&) {
    EXPECT_TRUE(store_->DeleteCollection({}).ok());
  };
  const auto built = Switch("a");
  ASSERT_TRUE(built.ok()) << built.status();
  EXPECT_EQ(built->documents, 0);
  EXPECT_EQ(built->generation, 0);
  EXPECT_EQ(ReasonOf(store_->GetCollection({}).status()), Reason::COLLECTION_NOT_FOUND);
  a_.before = nullptr;
  Open();
  EXPECT_THAT(Find("boundary layer", Mode::kLexical).matches, IsEmpty());
  Add(0, 3);
  EXPECT_EQ(Info().serving.number, 0);
}

TEST_F(StoreEmbeddingTest, ACollectionWithoutDocumentsKeepsItsEmbedderOverARestart) {
  Add(0, 3);
  ASSERT_TRUE(Switch("a").ok());
  for (const char* id : {"d0", "d1", "d2"}) ASSERT_TRUE(store_->Delete({}, id).ok());
  Open();
  Add(5, 7);
  EXPECT_EQ(Info().serving.embedder, "a");
  EXPECT_EQ(Info().unembedded_chunks, 0);
  EXPECT_EQ(Find(SampleText(6)).matches.at(0).document_id, "d6");
}

TEST_F(StoreEmbeddingTest, NotMoreThanSoManySearchesWaitForAnEmbedder) {
  options_.query_embeds_max = 1;
  Open();
  Add(0, kSamples);
  ASSERT_TRUE(Switch("a").ok());
  absl::Notification is_waiting;
  absl::Notification goes_on;
  a_.before = [&](const std::vector<std::string>&) {
    is_waiting.Notify();
    goes_on.WaitForNotification();
  };
  std::thread slow([&] { EXPECT_EQ(Find("boundary layer").mode, Mode::kDense); });
  is_waiting.WaitForNotification();
  EXPECT_EQ(Find("violin melody").mode, Mode::kLexical);
  goes_on.Notify();
  slow.join();
}

TEST_F(StoreEmbeddingTest, SearchesOfASwitchSeeOneGenerationOrTheOther) {
  Add(0, kSamples);
  ASSERT_TRUE(Switch("a").ok());
  absl::Notification is_done;
  std::vector<std::thread> readers;
  for (int reader = 0; reader < 2; ++reader) {
    readers.emplace_back([&, reader] {
      for (int i = reader; !is_done.HasBeenNotified(); i = (i + 1) % kSamples) {
        const RetrieveResult found = Find(SampleText(i));
        ASSERT_EQ(found.mode, Mode::kDense);
        ASSERT_EQ(found.matches.at(0).document_id, absl::StrCat("d", i));
      }
    });
  }
  for (const char* embedder : {"b", "a", "b"}) ASSERT_TRUE(Switch(embedder).ok());
  is_done.Notify();
  for (std::thread& reader : readers) reader.join();
}

}  // namespace
}  // namespace aibackend::retrieval
