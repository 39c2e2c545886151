#include "server/tasks/index_documents_job.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "server/base/status.h"
#include "tests/unit/server/tasks/fake_document_store.h"
#include "tests/unit/server/tasks/fake_job_context.h"

namespace aibackend::tasks {
namespace {

using jobs::Json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Keeps documents, one chunk each; a rebuild reports each document.
class FakeStore final : public FakeDocumentStore {
 public:
  absl::StatusOr<std::vector<retrieval::AddedDocument>> Add(
      const retrieval::CollectionId& collection,
      std::vector<retrieval::StoredDocument> documents) override {
    batches.push_back(documents.size());
    if (!add_error.ok()) return add_error;
    std::vector<retrieval::AddedDocument> added;
    for (auto& document : documents) {
      auto [it, fresh] = stored[collection.name].try_emplace(document.id, document);
      auto status = retrieval::AddStatus::kAdded;
      if (!fresh) {
        status = it->second.text == document.text ? retrieval::AddStatus::kUnchanged
                                                  : retrieval::AddStatus::kUpdated;
        it->second = document;
      }
      added.push_back({document.id, 1, status});
    }
    return added;
  }
  absl::Status CheckEmbedder(const std::string& name) const override {
    return name == "fitted" || name == "vec" ? absl::OkStatus()
                                             : MakeError(Reason::MODEL_NOT_FOUND, "known: vec");
  }
  absl::StatusOr<retrieval::RebuildResult> Rollback(const retrieval::CollectionId&, int,
                                                    const std::string&, Progress) override {
    return MakeError(Reason::FIELD_INVALID, "", "params.generation");
  }
  absl::StatusOr<retrieval::RebuildResult> Rebuild(const retrieval::CollectionId& collection,
                                                   const retrieval::RebuildRequest& request,
                                                   Progress progress) override {
    requests.push_back(request);
    const auto total = static_cast<int64_t>(stored[collection.name].size());
    for (int64_t i = 0; i <= total; ++i) AIB_RETURN_IF_ERROR(progress(i, total, "cutting"));
    const std::string embedder = request.embedder.empty() ? "fitted" : request.embedder;
    return retrieval::RebuildResult{total, total, ++generation, embedder};
  }

  std::map<std::string, std::map<std::string, retrieval::StoredDocument>> stored;
  std::vector<size_t> batches;
  std::vector<retrieval::RebuildRequest> requests;
  absl::Status add_error;
  int generation = 0;
};

Json Documents(int count) {
  Json documents = Json::array();
  for (int i = 0; i < count; ++i) {
    documents.push_back({{"id", absl::StrCat("d", i)}, {"text", absl::StrCat("text ", i)}});
  }
  return documents;
}

class IndexDocumentsJobTest : public ::testing::Test {
 protected:
  FakeStore store_;
  IndexDocumentsJob job_{store_};
  jobs::FakeJobContext context_;
};

TEST_F(IndexDocumentsJobTest, DocumentsAreAddedInBatchesAndIndexed) {
  const auto result = job_.Run({{"documents", Documents(120)}, {"collection", "books"}}, context_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(*result,
            Json::parse(R"({"documents":120,"chunks":120,"generation":1,"embedder":"fitted",
                                     "added":120,"updated":0,"unchanged":0})"));
  EXPECT_THAT(store_.batches, ElementsAre(50, 50, 20));
  EXPECT_EQ(store_.stored["books"]["d7"].text, "text 7");
}

TEST_F(IndexDocumentsJobTest, TheEmbedderIsPassedOnWithTheJobAsTheOneWhoAsks) {
  const Json params = {{"embedder", "vec"}};
  ASSERT_TRUE(job_.Validate(params).ok());
  EXPECT_EQ((*job_.Run(params, context_))["embedder"], "vec");
  ASSERT_EQ(store_.requests.size(), 1U);
  EXPECT_EQ(store_.requests[0].embedder, "vec");
  EXPECT_EQ(store_.requests[0].order_id, context_.job_id().value);
}

TEST_F(IndexDocumentsJobTest, AnUnknownEmbedderIsRefusedAtOnce) {
  const absl::Status status = job_.Validate({{"embedder", "other"}});
  EXPECT_EQ(ReasonOf(status), Reason::MODEL_NOT_FOUND);
  EXPECT_EQ(FieldOf(status), "params.embedder");
  EXPECT_EQ(FieldOf(job_.Validate({{"embedder", 7}})), "params.embedder");
}

TEST_F(IndexDocumentsJobTest, EveryFieldOfADocumentArrives) {
  const Json params = {
      {"documents",
       {{{"id", "a"}, {"title", "T"}, {"text", "x"}, {"source", "s"}, {"metadata", {{"k", 1}}}},
        {{"id", "b"}, {"text", "y"}, {"title", nullptr}, {"metadata", nullptr}}}}};
  ASSERT_TRUE(job_.Validate(params).ok()) << job_.Validate(params);
  ASSERT_TRUE(job_.Run(params, context_).ok());
  const auto& stored = store_.stored["default"]["a"];
  EXPECT_EQ(stored.title, "T");
  EXPECT_EQ(stored.source, "s");
  EXPECT_EQ(stored.metadata, R"({"k":1})");
  EXPECT_EQ(store_.stored["default"]["b"].metadata, "");
}

TEST_F(IndexDocumentsJobTest, WithoutDocumentsWhatIsStoredIsIndexedAnew) {
  store_.stored["default"]["a"] = {};
  for (const Json& params : {Json(), Json::object()}) {
    ASSERT_TRUE(job_.Validate(params).ok());
    const auto result = job_.Run(params, context_);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ((*result)["documents"], 1);
  }
  EXPECT_TRUE(store_.batches.empty());
}

TEST_F(IndexDocumentsJobTest, ProgressNeverGoesBackAndEndsFull) {
  store_.stored["default"]["old"] = {};
  ASSERT_TRUE(job_.Run({{"documents", Documents(120)}}, context_).ok());
  int64_t last = 0;
  for (const auto& progress : context_.progress) {
    EXPECT_GE(progress.done, last);
    EXPECT_LE(progress.done, progress.total);
    EXPECT_EQ(progress.total, 240);
    last = progress.done;
  }
  EXPECT_EQ(last, 240);
}

TEST_F(IndexDocumentsJobTest, ARunAfterACrashChangesNothingTwice) {
  const Json params = {{"documents", Documents(120)}};
  context_.stop_after = 1;  // after the first batch
  EXPECT_EQ(ReasonOf(job_.Run(params, context_).status()), Reason::DRAINING);
  EXPECT_EQ(store_.stored["default"].size(), 50u);
  jobs::FakeJobContext again;
  const auto result = job_.Run(params, again);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ((*result)["added"], 70);
  EXPECT_EQ((*result)["unchanged"], 50);
  EXPECT_EQ((*result)["documents"], 120);
}

TEST_F(IndexDocumentsJobTest, ARebuildStopsWhenTheJobShould) {
  context_.stop_after = 3;  // two of the adding, one within the rebuild
  EXPECT_EQ(ReasonOf(job_.Run({{"documents", Documents(10)}}, context_).status()),
            Reason::DRAINING);
  EXPECT_EQ(store_.generation, 0);
}

TEST_F(IndexDocumentsJobTest, AnErrorOfTheStoreKeepsItsReasonAndSaysWhere) {
  store_.add_error = MakeError(Reason::DATABASE_UNAVAILABLE, "locked");
  const absl::Status status = job_.Run({{"documents", Documents(3)}}, context_).status();
  EXPECT_EQ(ReasonOf(status), Reason::DATABASE_UNAVAILABLE);
  EXPECT_THAT(std::string(status.message()), HasSubstr("locked"));
}

struct BadParams {
  const char* json;
  Reason::Reason reason;
  const char* field;
};

TEST_F(IndexDocumentsJobTest, BadParamsAreRefusedByName) {
  for (const BadParams& bad : {
           BadParams{R"([])", Reason::WRONG_TYPE, "params"},
           {R"({"docs":[]})", Reason::UNKNOWN_FIELD, "params.docs"},
           {R"({"collection":7})", Reason::WRONG_TYPE, "params.collection"},
           {R"({"collection":""})", Reason::FIELD_OUT_OF_RANGE, "params.collection"},
           {R"({"collection":"a/b"})", Reason::FIELD_INVALID, "params.collection"},
           {R"({"documents":{}})", Reason::WRONG_TYPE, "params.documents"},
           {R"({"documents":["x"]})", Reason::WRONG_TYPE, "params.documents[0]"},
           {R"({"documents":[{"text":"a"},{"body":"b"}]})", Reason::UNKNOWN_FIELD,
            "params.documents[1].body"},
           {R"({"documents":[{"text":1}]})", Reason::WRONG_TYPE, "params.documents[0].text"},
           {R"({"documents":[{"id":"a"}]})", Reason::FIELD_REQUIRED, "params.documents[0].text"},
           {R"({"documents":[{"text":"a","metadata":[]}]})", Reason::WRONG_TYPE,
            "params.documents[0].metadata"},
       }) {
    const absl::Status status = job_.Validate(Json::parse(bad.json));
    EXPECT_EQ(ReasonOf(status), bad.reason) << bad.json << status;
    EXPECT_EQ(FieldOf(status), bad.field) << bad.json;
  }
}

TEST_F(IndexDocumentsJobTest, TooManyDocumentsAreRefused) {
  EXPECT_TRUE(job_.Validate({{"documents", Documents(10'000)}}).ok());
  const absl::Status status = job_.Validate({{"documents", Documents(10'001)}});
  EXPECT_EQ(ReasonOf(status), Reason::FIELD_OUT_OF_RANGE);
  EXPECT_EQ(FieldOf(status), "params.documents");
}

}  // namespace
}  // namespace aibackend::tasks
