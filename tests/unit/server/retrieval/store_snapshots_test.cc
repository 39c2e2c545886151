// The snapshots of a store, from one start to the next.
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "server/retrieval/document_store.h"
#include "server/retrieval/snapshot_folder.h"
#include "spdlog/sinks/ostream_sink.h"
#include "spdlog/spdlog.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/server/retrieval/fake_embedder.h"
#include "tests/unit/server/retrieval/sample_texts.h"
#include "tests/unit/temp_folder.h"

namespace aibackend::retrieval {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr int kDocuments = 50;

class StoreSnapshotsTest : public ::testing::Test {
 protected:
  StoreSnapshotsTest() {
    auto logger = std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(log_));
    logger->set_pattern("%v");
    spdlog::set_default_logger(logger);
    Open();
  }

  void Open() {
    Crash();
    log_.str("");
    auto database = storage::OpenSqlite(folder_.File("test.db"));
    if (!database.ok()) throw std::runtime_error(database.status().ToString());
    database_ = *std::move(database);
    StoreOptions options;
    options.snapshot_dir = folder_.File("index");
    if (embedder_ != nullptr) options.embedders = {embedder_.get()};
    auto store = DocumentStore::Open(*database_, clock_, options);
    if (!store.ok()) throw std::runtime_error(store.status().ToString());
    store_ = *std::move(store);
  }

  // Without SaveSnapshots().
  void Crash() {
    store_.reset();
    database_.reset();
  }

  void Add(int first, int end, const CollectionId& collection = {}) {
    std::vector<StoredDocument> documents;
    for (int i = first; i < end; ++i) {
      documents.emplace_back();
      documents.back().id = absl::StrCat("d", i);
      documents.back().text = SampleText(i);
      documents.back().metadata = absl::StrCat(R"({"number":)", i % kDocuments, "}");
    }
    ASSERT_TRUE(store_->Add(collection, std::move(documents)).ok());
  }

  using Answer = std::vector<std::pair<std::string, double>>;
  Answer Ask(const std::string& text, const MetadataFilter& filter = {}) const {
    Answer answer;
    for (const Mode mode : {Mode::kHybrid, Mode::kLexical, Mode::kDense}) {
      RetrieveQuery query;
      query.text = text;
      query.top_k = 10;
      query.mode = mode;
      query.filter = filter;
      const RetrieveResult found = *store_->Retrieve(query);
      answer.emplace_back("generation", found.generation);
      for (const Match& m : found.matches) answer.emplace_back(m.document_id, m.score);
    }
    return answer;
  }

  std::vector<Answer> AskAll() const {
    std::vector<Answer> answers;
    MetadataFilter low;
    low.conditions.push_back({"number", MetadataFilter::Operator::kLess, {20.0}});
    for (int i = 0; i < kDocuments; i += 7) {
      answers.push_back(Ask(SampleText(i)));
      answers.push_back(Ask(SampleText(i), low));
      EXPECT_GT(answers.back().size(), 6U);
    }
    return answers;
  }

  std::vector<std::string> Ids(const std::string& text) const {
    std::vector<std::string> ids;
    for (const auto& [id, score] : Ask(text)) ids.push_back(id);
    return ids;
  }

  std::string PathOf(const CollectionId& collection = {}) const {
    return SnapshotFolder(folder_.File("index")).PathOf(collection);
  }
  std::string Log() const { return log_.str(); }

  TempFolder folder_;
  std::unique_ptr<FakeEmbedder> embedder_ = std::make_unique<FakeEmbedder>("a", 64);
  std::ostringstream log_;
  FakeClock clock_;
  std::unique_ptr<storage::Database> database_;
  std::unique_ptr<DocumentStore> store_;
};

TEST_F(StoreSnapshotsTest, AFitLeavesASnapshotThatTheNextStartLoads) {
  Add(0, kDocuments);
  const auto before = AskAll();
  Open();
  EXPECT_THAT(Log(), HasSubstr("event=index_loaded collection=default tenant=default "
                               "from=snapshot documents=50 chunks=50 generation=1"));
  EXPECT_TRUE(AskAll() == before);
}

TEST_F(StoreSnapshotsTest, WhatCameAndWentBeforeACrashIsSeenAfterIt) {
  Add(0, kDocuments);
  Add(kDocuments, kDocuments + 5);
  ASSERT_TRUE(store_->Delete({}, "d3").ok());
  const auto before = AskAll();
  Open();
  EXPECT_THAT(Log(), HasSubstr("from=snapshot documents=54"));
  EXPECT_TRUE(AskAll() == before);
  EXPECT_THAT(Ids("report u52"), testing::Contains("d52"));
  EXPECT_THAT(Ids(SampleText(3)), Not(testing::Contains("d3")));
}

TEST_F(StoreSnapshotsTest, AnUpdateBeforeACrashStays) {
  Add(0, kDocuments);
  StoredDocument update;
  update.id = "d4";
  update.text = "Zanzibar ships turnips.";
  ASSERT_TRUE(store_->Add({}, {update}).ok());
  Open();
  EXPECT_THAT(Log(), HasSubstr("from=snapshot"));
  EXPECT_THAT(Ids("zanzibar turnips"), testing::Contains("d4"));
  EXPECT_THAT(Ids("u4"), Not(testing::Contains("d4")));
}

TEST_F(StoreSnapshotsTest, ACleanEndWritesWhatChangedAndNothingElse) {
  const CollectionId other{"other"};
  Add(0, kDocuments);
  Add(0, kDocuments, other);
  Add(kDocuments, kDocuments + 5);
  log_.str("");
  store_->SaveSnapshots();
  EXPECT_THAT(Log(), HasSubstr("event=snapshot_saved collection=default"));
  EXPECT_THAT(Log(), Not(HasSubstr("collection=other")));
  const auto before = AskAll();
  Open();
  EXPECT_TRUE(AskAll() == before);
  log_.str("");
  store_->SaveSnapshots();
  EXPECT_THAT(Log(), IsEmpty());
}

TEST_F(StoreSnapshotsTest, AStartThatFoundChangesWritesThemAtItsEnd) {
  Add(0, kDocuments);
  ASSERT_TRUE(store_->Delete({}, "d3").ok());
  Open();
  log_.str("");
  store_->SaveSnapshots();
  EXPECT_THAT(Log(), HasSubstr("event=snapshot_saved"));
}

TEST_F(StoreSnapshotsTest, ARebuildLeavesTheSnapshotOfItsGeneration) {
  Add(0, kDocuments);
  Add(kDocuments, 2 * kDocuments);
  const auto late = [&](int64_t, int64_t, absl::string_view what) {
    // The index is made by now, and the snapshot is drafted next.
    if (what == "swapping the generation") Add(2 * kDocuments, 2 * kDocuments + 3);
    return absl::OkStatus();
  };
  ASSERT_EQ(store_->Rebuild({}, late)->generation, 2);
  const auto before = AskAll();
  Open();
  EXPECT_THAT(Log(), HasSubstr("from=snapshot documents=103 chunks=103 generation=2"));
  EXPECT_TRUE(AskAll() == before);
}

TEST_F(StoreSnapshotsTest, ASnapshotOfAnOlderGenerationIsIgnored) {
  Add(0, kDocuments);
  fs::copy_file(PathOf(), folder_.File("old"));
  ASSERT_TRUE(
      store_->Rebuild({}, [](int64_t, int64_t, absl::string_view) { return absl::OkStatus(); })
          .ok());
  const auto before = AskAll();
  fs::copy_file(folder_.File("old"), PathOf(), fs::copy_options::overwrite_existing);
  Open();
  EXPECT_THAT(Log(), HasSubstr("event=snapshot_ignored"));
  EXPECT_THAT(Log(), HasSubstr("from=documents documents=50 chunks=50 generation=2"));
  EXPECT_TRUE(AskAll() == before);
}

TEST_F(StoreSnapshotsTest, ADamagedSnapshotIsIgnoredAndMadeAgain) {
  Add(0, kDocuments);
  const auto before = AskAll();
  Crash();
  std::fstream file(PathOf(), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(5000);
  file.put('\x5a');
  file.close();
  Open();
  EXPECT_THAT(Log(), HasSubstr("event=snapshot_ignored"));
  EXPECT_THAT(Log(), HasSubstr("from=documents"));
  EXPECT_TRUE(AskAll() == before);
  Open();
  EXPECT_THAT(Log(), HasSubstr("from=snapshot"));
  EXPECT_TRUE(AskAll() == before);
}

TEST_F(StoreSnapshotsTest, ACollectionThatMostlyChangedIsFittedAnew) {
  Add(0, kDocuments);
  for (int i = 0; i < 18; ++i) ASSERT_TRUE(store_->Delete({}, absl::StrCat("d", i)).ok());
  Open();
  EXPECT_THAT(Log(), HasSubstr("event=snapshot_ignored"));
  EXPECT_THAT(Log(), HasSubstr("from=documents documents=32 chunks=32 generation=2"));
}

TEST_F(StoreSnapshotsTest, VectorsFromOutsideAreLoadedAndLaterOnesFound) {
  Add(0, kDocuments);
  const auto goes = [](int64_t, int64_t, absl::string_view) { return absl::OkStatus(); };
  ASSERT_TRUE(store_->Rebuild({}, {"a", ""}, goes).ok());
  Add(kDocuments, kDocuments + 3);
  ASSERT_TRUE(store_->Delete({}, "d3").ok());
  const auto before = AskAll();
  ASSERT_EQ(store_->GetCollection({})->unembedded_chunks, 0);
  Open();
  EXPECT_THAT(Log(), HasSubstr("from=snapshot documents=52 chunks=52 generation=2"));
  EXPECT_TRUE(AskAll() == before);
  EXPECT_EQ(store_->GetCollection({})->unembedded_chunks, 0);
  store_->SaveSnapshots();
  Open();
  EXPECT_THAT(Log(), HasSubstr("from=snapshot"));
  EXPECT_TRUE(AskAll() == before);
}

TEST_F(StoreSnapshotsTest, VectorsOfAnEmbedderThatIsNotConfiguredAreNotLoaded) {
  Add(0, kDocuments);
  const auto goes = [](int64_t, int64_t, absl::string_view) { return absl::OkStatus(); };
  ASSERT_TRUE(store_->Rebuild({}, {"a", ""}, goes).ok());
  const auto before = AskAll();
  Crash();
  auto kept = std::move(embedder_);
  Open();
  EXPECT_THAT(Log(), HasSubstr("from=documents"));
  EXPECT_THAT(store_->GetCollection({})->unembedded_chunks, kDocuments);
  Crash();
  embedder_ = std::move(kept);
  Open();
  EXPECT_THAT(Log(), HasSubstr("from=documents"));
  EXPECT_TRUE(AskAll() == before);
}

TEST_F(StoreSnapshotsTest, WhatHasOutgrownItsFitIsReportedAtTheStart) {
  Add(0, kDocuments);
  Add(kDocuments, 2 * kDocuments);
  store_->SaveSnapshots();
  Open();
  ASSERT_THAT(Log(), HasSubstr("from=snapshot"));
  std::vector<CollectionId> reported;
  store_->OnOutgrown([&](const CollectionId& collection) { reported.push_back(collection); });
  EXPECT_THAT(reported, testing::ElementsAre(CollectionId()));
}

TEST_F(StoreSnapshotsTest, ADeletedCollectionTakesItsSnapshotAlong) {
  Add(0, kDocuments);
  ASSERT_TRUE(fs::exists(PathOf()));
  ASSERT_TRUE(store_->DeleteCollection({}).ok());
  EXPECT_FALSE(fs::exists(PathOf()));
}

TEST_F(StoreSnapshotsTest, ACollectionThatWasDeletedAndFilledAgainIsTheNewOne) {
  Add(0, kDocuments);
  fs::copy_file(PathOf(), folder_.File("old"));
  ASSERT_TRUE(store_->DeleteCollection({}).ok());
  Add(kDocuments, 2 * kDocuments);
  const auto before = AskAll();
  fs::copy_file(folder_.File("old"), PathOf(), fs::copy_options::overwrite_existing);
  Open();
  EXPECT_THAT(Log(), HasSubstr("event=snapshot_ignored"));
  EXPECT_TRUE(AskAll() == before);
}

TEST_F(StoreSnapshotsTest, ACollectionTooSmallToBeFittedHasNone) {
  Add(0, 10);
  store_->SaveSnapshots();
  EXPECT_FALSE(fs::exists(PathOf()));
  Open();
  EXPECT_THAT(Log(), HasSubstr("from=documents documents=10"));
}

TEST_F(StoreSnapshotsTest, AFolderThatCannotBeUsedCostsTheSnapshotAlone) {
  Crash();
  fs::remove_all(folder_.File("index"));
  std::ofstream(folder_.File("index")) << "a file in its place";
  Open();
  EXPECT_THAT(Log(), HasSubstr("event=snapshot_failed"));
  Add(0, kDocuments);
  const auto before = AskAll();
  Open();
  EXPECT_TRUE(AskAll() == before);
}

}  // namespace
}  // namespace aibackend::retrieval
