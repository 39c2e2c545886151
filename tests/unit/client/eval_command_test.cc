// `aibackend eval`, run as a child against a double of the service.
#include <atomic>
#include <fstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"
#include "tests/unit/client/child.h"
#include "tests/unit/client/fake_backend.h"
#include "tests/unit/temp_folder.h"

namespace aibackend::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr char kResult[] = R"({"collection": "eval-1", "generation": 2, "embedder": "fitted",
  "queries": 2, "skipped_queries": 1, "modes": {
    "dense": {"ndcg_at_10": 0.5, "recall_at_100": 1, "mrr_at_10": 0.25, "ms_per_query": 10.5,
              "lexical_fallbacks": 0},
    "hybrid": {"ndcg_at_10": 0.98765, "recall_at_100": 1, "mrr_at_10": 0.5, "ms_per_query": 0.25,
               "lexical_fallbacks": 0}}})";

class EvalCommandTest : public ::testing::Test {
 protected:
  EvalCommandTest() {
    backend_.add = [this](const v1::AddDocumentsRequest& request, auto&) {
      added_.push_back(request);
      return grpc::Status::OK;
    };
    backend_.start_job = [this](const v1::StartJobRequest& request, v1::Job& job) {
      started_.push_back(request);
      job.set_job_id(request.kind());
      return grpc::Status::OK;
    };
    backend_.get_job = [](const v1::GetJobRequest& request, v1::Job& job) {
      job.set_job_id(request.job_id());
      job.set_status(v1::Job::SUCCEEDED);
      if (request.job_id() == "evaluate") {
        const auto parsed =
            google::protobuf::util::JsonStringToMessage(kResult, job.mutable_result());
        EXPECT_TRUE(parsed.ok());
      }
      return grpc::Status::OK;
    };
    backend_.delete_collection = [this](const v1::DeleteCollectionRequest& request, auto&) {
      deleted_.push_back(request.collection());
      return grpc::Status::OK;
    };
    backend_.list = [](auto&, auto&) { return grpc::Status::OK; };
  }

  std::string File(const std::string& name, const std::string& content) const {
    const std::string path = folder_.File(name);
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  std::vector<std::string> Command(std::vector<std::string> arguments) const {
    const std::vector<std::string> first = {AIB_PROGRAM, "--server", backend_.target(), "eval",
                                            "--queries", queries_,   "--qrels",         qrels_};
    arguments.insert(arguments.begin(), first.begin(), first.end());
    return arguments;
  }
  Finished Run(std::vector<std::string> arguments) const {
    return RunChild(Command(std::move(arguments)));
  }

  const TempFolder folder_;
  const std::string docs_ = File("docs", R"({"id": "a", "title": "A", "text": "first"}
{"id": "b", "text": "second"}
{"id": "empty", "text": ""})");
  const std::string queries_ = File("queries", R"({"id": "1", "text": "one"})");
  const std::string qrels_ = File("qrels", "1\ta\t2\n1\tb\t0\n1\tempty\t1\n");
  std::vector<v1::AddDocumentsRequest> added_;
  std::vector<v1::StartJobRequest> started_;
  std::vector<std::string> deleted_;
  FakeBackend backend_;  // last: it ends before what its methods use
};

TEST_F(EvalCommandTest, DocumentsGoIntoACollectionOfTheirOwnThatIsMeasuredAndDeleted) {
  const auto result = Run({"--docs", docs_});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  ASSERT_THAT(added_, SizeIs(1));
  const std::string collection = added_[0].collection();
  EXPECT_THAT(collection, StartsWith("eval-"));
  ASSERT_EQ(added_[0].documents_size(), 2);
  EXPECT_EQ(added_[0].documents(0).title(), "A");
  ASSERT_THAT(started_, SizeIs(2));
  EXPECT_EQ(started_[0].kind(), "index_documents");
  EXPECT_EQ(started_[0].collection(), collection);
  EXPECT_EQ(started_[1].kind(), "evaluate");
  EXPECT_EQ(started_[1].collection(), collection);
  EXPECT_EQ(deleted_, std::vector<std::string>{collection});
}

TEST_F(EvalCommandTest, TheTableHasTheModesSideBySide) {
  const auto result = Run({"--docs", docs_});
  EXPECT_EQ(result.out,
            "Documents without a text, left out: 1\n"
            "Relevant documents that are not there, counted as not found: 1\n"
            "eval-1: 2 queries (1 without a relevant document left out), generation 2, "
            "embedder fitted\n"
            "MEASURE     hybrid  dense\n"
            "nDCG@10     0.9877  0.5000\n"
            "Recall@100  1.0000  1.0000\n"
            "MRR@10      0.5000  0.2500\n"
            "ms a query  0.250   10.500\n");
}

TEST_F(EvalCommandTest, TheJobGetsTheQueriesTheRelevantDocumentsAndTheModes) {
  ASSERT_EQ(Run({"--collection", "books", "--modes", "dense,lexical"}).exit_code, 0);
  ASSERT_THAT(started_, SizeIs(1));
  v1::StartJobRequest expected;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(
                  R"({"kind": "evaluate", "collection": "books", "params": {
                        "queries": [{"id": "1", "text": "one"}], "modes": ["dense", "lexical"],
                        "qrels": [{"query": "1", "document": "a", "relevance": 2},
                                  {"query": "1", "document": "empty", "relevance": 1}]}})",
                  &expected)
                  .ok());
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(started_[0], expected))
      << started_[0].DebugString();
}

TEST_F(EvalCommandTest, WhatIsStoredIsMeasuredAndNeverDeleted) {
  EXPECT_EQ(Run({"--collection", "books"}).exit_code, 0);
  EXPECT_THAT(added_, SizeIs(0));
  EXPECT_THAT(deleted_, SizeIs(0));
}

TEST_F(EvalCommandTest, KeptCollectionsStay) {
  EXPECT_EQ(Run({"--docs", docs_, "--keep", "--collection", "mine"}).exit_code, 0);
  ASSERT_THAT(added_, SizeIs(1));
  EXPECT_EQ(added_[0].collection(), "mine");
  EXPECT_THAT(deleted_, SizeIs(0));
}

TEST_F(EvalCommandTest, ACollectionThatHoldsSomethingIsNotTouched) {
  backend_.list = [](const v1::ListDocumentsRequest& request, v1::ListDocumentsResponse& response) {
    EXPECT_EQ(request.collection(), "mine");
    response.add_documents()->set_id("precious");
    return grpc::Status::OK;
  };
  const auto result = Run({"--docs", docs_, "--collection", "mine"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("mine holds documents already"));
  EXPECT_THAT(added_, SizeIs(0));
  EXPECT_THAT(deleted_, SizeIs(0));
}

TEST_F(EvalCommandTest, AfterAFailureTheCollectionIsDeletedAndTheExitCodeStays) {
  backend_.get_job = [](auto&, v1::Job& job) {
    job.set_status(v1::Job::FAILED);
    job.mutable_error()->set_reason("STORAGE_UNAVAILABLE");
    job.mutable_error()->set_message("the disk is full");
    return grpc::Status::OK;
  };
  const auto result = Run({"--docs", docs_});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("the disk is full (STORAGE_UNAVAILABLE"));
  EXPECT_THAT(deleted_, SizeIs(1));
}

TEST_F(EvalCommandTest, ARefusedBatchIsToldByItsDocuments) {
  backend_.add = [](auto&, auto&) {
    return ContractError(grpc::StatusCode::INVALID_ARGUMENT, "FIELD_INVALID", "no '/'",
                         "documents[1].id");
  };
  const auto result = Run({"--docs", docs_});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("documents \"a\" to \"b\": no '/' (FIELD_INVALID"));
  EXPECT_THAT(started_, SizeIs(0));
  EXPECT_THAT(deleted_, SizeIs(1));
}

TEST_F(EvalCommandTest, ACollectionThatCannotBeDeletedIsNamed) {
  backend_.delete_collection = [](auto&, auto&) {
    return ContractError(grpc::StatusCode::UNAVAILABLE, "STORAGE_UNAVAILABLE", "later", "");
  };
  const auto result = Run({"--docs", docs_, "--collection", "mine"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("the collection mine stays on the server"));
  EXPECT_THAT(result.out, HasSubstr("nDCG@10"));
}

TEST_F(EvalCommandTest, CtrlCDeletesTheCollection) {
  backend_.get_job = [](auto&, v1::Job& job) {
    job.set_status(v1::Job::RUNNING);
    job.mutable_progress()->set_done(1);
    job.mutable_progress()->set_total(4);
    return grpc::Status::OK;
  };
  TerminalChild child(Command({"--docs", docs_}));
  ASSERT_TRUE(child.WaitFor("25 %")) << child.screen();
  child.Type("\x03");
  EXPECT_EQ(child.Wait(), 130) << child.screen();
  EXPECT_THAT(deleted_, SizeIs(1));
}

TEST_F(EvalCommandTest, BadFilesAreToldBeforeAnythingIsSent) {
  const auto bad = Run({"--docs", File("bad", "{\"id\": \"a\", \"text\": \"x\"}\nnot json\n")});
  EXPECT_EQ(bad.exit_code, 2);
  EXPECT_THAT(bad.err, HasSubstr("bad:2: is not a JSON object"));
  EXPECT_EQ(Run({"--docs", File("none", "{\"id\": \"a\", \"text\": \"\"}")}).exit_code, 2);
  EXPECT_EQ(Run({}).exit_code, 2);  // nothing to search
  EXPECT_EQ(Run({"--collection", "books", "--modes", "psychic"}).exit_code, 2);
  EXPECT_THAT(added_, SizeIs(0));
  EXPECT_THAT(started_, SizeIs(0));
}

TEST_F(EvalCommandTest, MoreThanAJobTakesIsToldBeforeAnythingIsSent) {
  std::ofstream queries(queries_, std::ios::trunc);
  const std::string text(32 << 10, 'x');
  for (int i = 0; i < 520; ++i) queries << "{\"id\": " << i << ", \"text\": \"" << text << "\"}\n";
  queries.close();
  const auto result = Run({"--docs", docs_});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("(16 MiB) are taken"));
  EXPECT_THAT(added_, SizeIs(0));
}

TEST_F(EvalCommandTest, JsonIsTheJobsResultAlone) {
  const auto result = Run({"--docs", docs_, "--json"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, StartsWith("{"));
  EXPECT_THAT(result.out, HasSubstr("\"ndcg_at_10\": 0.98765"));
  EXPECT_THAT(result.out, Not(HasSubstr("MEASURE")));
}

}  // namespace
}  // namespace aibackend::client
