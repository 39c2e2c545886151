// The program `aibackend`: chat, retrieve, collections, jobs, health, and what all commands share.
#include <atomic>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "client/cli/format.h"
#include "client/cli/output.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/client/cli_fixture.h"

namespace aibackend::client {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

v1::ChatResponse CitedAnswer() {
  v1::ChatResponse response;
  response.set_outcome(v1::ChatResponse::ANSWERED);
  response.set_confidence(0.9);
  auto& citation = *response.add_citations();
  citation.set_document_id("sample-fastapi");
  citation.set_title("FastAPI");
  citation.set_start(0);
  citation.set_end(87);
  return response;
}

TEST_F(CliTest, ChatPrintsTheStreamedAnswerAndItsCitations) {
  backend_.chat_stream = [](auto&, const v1::ChatRequest& request, FakeBackend::Writer& writer) {
    EXPECT_EQ(request.prompt(), "What is FastAPI?");
    EXPECT_EQ(request.temperature(), 0.5);
    EXPECT_TRUE(request.retrieval().strict());
    EXPECT_FALSE(request.retrieval().has_top_k());
    writer.Write(Delta("A web "));
    writer.Write(Delta("framework. [1]"));
    writer.Write(Done(CitedAnswer()));
    return grpc::Status::OK;
  };
  const auto result = Run({"chat", "What", "is", "FastAPI?", "--temperature", "0.5", "--strict"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "A web framework. [1]\n\n[1] FastAPI (sample-fastapi bytes 0–87)\n");
  EXPECT_THAT(result.err, IsEmpty());
}

TEST_F(CliTest, ChatSaysFromWhichDocuments) {
  backend_.chat = [](auto&, const v1::ChatRequest& request, v1::ChatResponse&) {
    EXPECT_EQ(request.retrieval().filter(), R"({"lang":"en"})");
    EXPECT_EQ(request.retrieval().mode(), "dense");
    EXPECT_EQ(request.retrieval().min_score(), 0.25);
    return grpc::Status::OK;
  };
  EXPECT_EQ(Run({"chat", "Hi", "--json", "--filter", R"({"lang":"en"})", "--mode", "dense",
                 "--min-score", "0.25"})
                .exit_code,
            0);
}

TEST_F(CliTest, RetrieveExplainsItsMatches) {
  backend_.retrieve = [](const v1::RetrieveRequest& request, v1::RetrieveResponse& response) {
    EXPECT_EQ(request.query(), "rate limits");
    EXPECT_EQ(request.filter(), R"({"year":{"gte":2020}})");
    EXPECT_EQ(request.min_score(), 0.5);
    EXPECT_TRUE(request.explain());
    auto& match = *response.add_matches();
    match.set_document_id("d1");
    match.set_title("Limits");
    match.set_text("A limit is a limit.");
    match.set_score(0.9);
    match.set_end(19);
    auto& leg = *match.mutable_explanation()->add_legs();
    leg.set_leg("words");
    leg.set_score(7.25);
    leg.set_normalised(1);
    leg.set_weight(1);
    auto& term = *match.mutable_explanation()->add_terms();
    term.set_term("limit");
    term.set_idf(2.5);
    term.set_count(4);
    term.set_score(7.25);
    match.mutable_explanation()->set_fused(1);
    match.mutable_explanation()->set_neighbours(0.5);
    match.mutable_explanation()->set_neighbour_share(0.2);
    return grpc::Status::OK;
  };
  const auto result = Run({"retrieve", "rate", "limits", "--filter", R"({"year":{"gte":2020}})",
                           "--min-score", "0.5", "--explain"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("words          7.250  1.000 of the best  weight 1.00\n"));
  EXPECT_THAT(result.out, HasSubstr("\"limit\"  idf 2.50, 4 times: 7.250\n"));
  EXPECT_THAT(result.out, HasSubstr("1.000 fused x 0.80 + 0.500 neighbours x 0.20\n"));
}

TEST_F(CliTest, CollectionsAreListedShownAndDeleted) {
  backend_.list_collections = [](const v1::ListCollectionsRequest& request,
                                 v1::ListCollectionsResponse& response) {
    auto& collection = *response.add_collections();
    collection.set_name(request.page_token().empty() ? "law" : "notes");
    collection.set_documents(12);
    if (request.page_token().empty()) response.set_next_page_token("law");
    return grpc::Status::OK;
  };
  for (const auto& command : {std::vector<std::string>{"collections"}, {"collections", "list"}}) {
    const auto listed = Run(command);
    EXPECT_EQ(listed.exit_code, 0) << listed.err;
    EXPECT_EQ(listed.out,
              "NAME   DOCUMENTS  CHUNKS  UNEMBEDDED  GENERATION  EMBEDDER\n"
              "law    12         0       0           -\n"
              "notes  12         0       0           -\n");
  }

  backend_.get_collection = [](const v1::GetCollectionRequest& request, v1::Collection& response) {
    if (request.collection() != "law") {
      return ContractError(grpc::StatusCode::NOT_FOUND, "COLLECTION_NOT_FOUND", "no such",
                           "collection");
    }
    response.set_name("law");
    response.set_documents(12);
    response.set_chunks(40);
    response.mutable_serving()->set_number(2);
    response.mutable_serving()->set_embedder("fitted");
    response.mutable_serving()->set_dimensions(64);
    response.add_former()->set_number(1);
    return grpc::Status::OK;
  };
  const auto shown = Run({"collections", "show", "law"});
  EXPECT_THAT(shown.out, StartsWith("law: 12 documents, 40 chunks, 0 of them not embedded\n"));
  EXPECT_THAT(shown.out, HasSubstr("2           yes     64          -        fitted\n"));
  EXPECT_THAT(shown.out, HasSubstr("1           no "));
  const auto missing = Run({"collections", "show", "lore"});
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_THAT(missing.err, HasSubstr("COLLECTION_NOT_FOUND"));

  backend_.delete_collection = [](const v1::DeleteCollectionRequest& request,
                                  v1::DeleteCollectionResponse& response) {
    EXPECT_EQ(request.collection(), "law");
    response.set_documents(12);
    return grpc::Status::OK;
  };
  EXPECT_EQ(Run({"collections", "delete", "law"}).out, "deleted law with 12 documents\n");
}

TEST_F(CliTest, ChatReadsItsPromptFromAPipeAndSaysWhenThereIsNoContext) {
  backend_.chat = [](auto&, const v1::ChatRequest& request, v1::ChatResponse& response) {
    EXPECT_EQ(request.prompt(), "from a pipe");
    EXPECT_FALSE(request.retrieval().has_strict());
    response.set_outcome(v1::ChatResponse::NO_CONTEXT);
    response.set_response("No context found: nothing fits.");
    return grpc::Status::OK;
  };
  const auto result = Run({"chat", "--no-stream"}, "from a pipe");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "No context found: nothing fits.\n");
}

TEST_F(CliTest, ChatPrintsTheWholeAnswerAsJson) {
  backend_.chat = [](auto&, const auto&, v1::ChatResponse& response) {
    response.set_finish_reason("stop");
    return grpc::Status::OK;
  };
  const auto result = Run({"chat", "hi", "--json"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, HasSubstr("\"finish_reason\": \"stop\""));
}

TEST_F(CliTest, AServiceErrorIsOneLineOnStderrAndExitCodeOne) {
  backend_.chat_stream = [](auto&, const auto&, auto&) {
    return ContractError(grpc::StatusCode::INVALID_ARGUMENT, "TEMPERATURE_OUT_OF_RANGE",
                         "temperature must be\n0 to 2", "temperature");
  };
  const auto result = Run({"chat", "hi", "--temperature", "9"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.out, IsEmpty());
  EXPECT_EQ(result.err,
            "error: temperature must be 0 to 2 (TEMPERATURE_OUT_OF_RANGE, field temperature, "
            "request req_1, retry after 1.5s)\n");
}

TEST_F(CliTest, WrongUsageIsExitCodeTwo) {
  EXPECT_EQ(Run({"chat", "hi", "--bogus"}).exit_code, 2);
  EXPECT_EQ(Run({}).exit_code, 2);
  EXPECT_EQ(Run({"jobs", "start", "index_documents", "--params", "[1"}).exit_code, 2);
  EXPECT_EQ(Run({"--help"}).exit_code, 0);
}

TEST_F(CliTest, TheServerComesFromTheEnvironment) {
  const auto result = RunChild({AIB_PROGRAM, "health"}, "", {"AIB_SERVER=" + backend_.target()});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "SERVING\n");
}

TEST_F(CliTest, HealthFailsWhileTheServerDoesNotServe) {
  backend_.SetServing(false);
  const auto result = Run({"health"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.out, "NOT_SERVING\n");
}

TEST_F(CliTest, AListFollowsItsPagesUpToTheLimit) {
  backend_.list = [](const v1::ListDocumentsRequest& request, v1::ListDocumentsResponse& response) {
    const int first = request.page_token().empty() ? 0 : std::stoi(request.page_token());
    EXPECT_EQ(request.page_size(), 3 - first);
    for (int i = first; i < first + 2 && i < 3; ++i) {
      response.add_documents()->set_id(absl::StrCat("doc", i));
    }
    response.set_next_page_token(absl::StrCat(first + 2));
    return grpc::Status::OK;
  };
  const auto result = Run({"documents", "list", "--limit", "3"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("doc0"));
  EXPECT_THAT(result.out, HasSubstr("doc2"));
  EXPECT_THAT(result.out, Not(HasSubstr("doc3")));
}

TEST_F(CliTest, AJobIsStartedAndWatchedToItsSuccess) {
  backend_.start_job = [](const v1::StartJobRequest& request, v1::Job& job) {
    EXPECT_EQ(request.kind(), "analyze_usage");
    EXPECT_EQ(request.params().fields().at("days").number_value(), 7);
    job.set_job_id("job_1");
    job.set_status(v1::Job::QUEUED);
    return grpc::Status::OK;
  };
  std::atomic<int> polls = 0;
  backend_.get_job = [&](const v1::GetJobRequest& request, v1::Job& job) {
    EXPECT_EQ(request.job_id(), "job_1");
    const int poll = ++polls;
    job.set_status(poll < 3 ? v1::Job::RUNNING : v1::Job::SUCCEEDED);
    job.mutable_progress()->set_total(3);
    job.mutable_progress()->set_done(poll);
    (*job.mutable_result()->mutable_fields())["requests"].set_number_value(12);
    return grpc::Status::OK;
  };
  const auto result =
      Run({"jobs", "start", "analyze_usage", "--params", R"({"days": 7})", "--watch"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, StartsWith("job_1  QUEUED\nRUNNING  1/3\nRUNNING  2/3\n"
                                     "SUCCEEDED  3/3\n"));
  EXPECT_THAT(result.out, HasSubstr("\"requests\": 12"));
}

TEST_F(CliTest, WatchingAJobThatFailsEndsWithItsErrorAndExitCodeOne) {
  backend_.get_job = [](const auto&, v1::Job& job) {
    job.set_status(v1::Job::FAILED);
    job.mutable_error()->set_message("the model is away");
    job.mutable_error()->set_reason("UPSTREAM_UNAVAILABLE");
    return grpc::Status::OK;
  };
  const auto result = Run({"jobs", "watch", "job_1"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "error: the model is away (UPSTREAM_UNAVAILABLE)\n");
}

TEST_F(CliTest, CtrlCLeavesAWatchedJobToItself) {
  backend_.get_job = [](const auto&, v1::Job& job) {
    job.set_status(v1::Job::RUNNING);
    job.mutable_progress()->set_total(4);
    job.mutable_progress()->set_done(1);
    return grpc::Status::OK;
  };
  TerminalChild child(Command({"jobs", "watch", "job_1"}));
  ASSERT_TRUE(child.WaitFor("[######------------------]  25 %")) << child.screen();
  child.Type("\x03");
  ASSERT_TRUE(child.WaitFor("The job goes on")) << child.screen();
  EXPECT_EQ(child.Wait(), 130);
}

TEST_F(CliTest, CtrlCCancelsTheAnswerButNotTheConversation) {
  absl::Notification server_saw_it;
  std::atomic<int> turns = 0;
  backend_.chat_stream = [&](auto& context, const v1::ChatRequest& request,
                             FakeBackend::Writer& writer) {
    if (++turns == 1) {
      writer.Write(Delta("first answer"));
      writer.Write(Done({}));
      return grpc::Status::OK;
    }
    if (turns == 2) {
      EXPECT_EQ(request.messages_size(), 3);
      EXPECT_EQ(request.messages(1).content(), "first answer");
      while (writer.Write(Delta("endless "))) {
      }
      server_saw_it.Notify();
      return grpc::Status::CANCELLED;
    }
    EXPECT_EQ(request.messages_size(), 3);  // the question that was cancelled is forgotten
    EXPECT_EQ(request.messages(2).content(), "again");
    writer.Write(Delta("third answer"));
    writer.Write(Done({}));
    return grpc::Status::OK;
  };
  TerminalChild child(Command({"chat"}));
  ASSERT_TRUE(child.WaitFor("> ")) << child.screen();
  child.Type("one\n");
  ASSERT_TRUE(child.WaitFor("first answer")) << child.screen();
  child.Type("two\n");
  ASSERT_TRUE(child.WaitFor("endless")) << child.screen();
  child.Type("\x03");
  ASSERT_TRUE(child.WaitFor("(cancelled)")) << child.screen();
  EXPECT_TRUE(server_saw_it.WaitForNotificationWithTimeout(absl::Seconds(30)));
  child.Type("again\n");
  ASSERT_TRUE(child.WaitFor("third answer")) << child.screen();
  child.Type("/exit\n");
  EXPECT_EQ(child.Wait(), 0) << child.screen();
}

TEST_F(CliTest, CtrlCAtThePromptAndCtrlDLeaveTheConversation) {
  for (const char* key : {"\x03", "\x04"}) {
    TerminalChild child(Command({"chat"}));
    ASSERT_TRUE(child.WaitFor("> ")) << child.screen();
    child.Type(key);
    EXPECT_EQ(child.Wait(), 0) << child.screen();
  }
}

TEST_F(CliTest, ATerminalGetsNoControlCharactersOfAnAnswerButAPipeDoes) {
  const std::string hostile = "before\x1b]0;owned\x07 after";
  backend_.chat_stream = [&](auto&, const auto&, FakeBackend::Writer& writer) {
    writer.Write(Delta(hostile));
    writer.Write(Done({}));
    return grpc::Status::OK;
  };
  TerminalChild child(Command({"chat", "hi"}));
  EXPECT_EQ(child.Wait(), 0);
  EXPECT_THAT(child.screen(), HasSubstr("before]0;owned after"));
  EXPECT_EQ(Run({"chat", "hi"}).out, hostile + "\n");
}

TEST(OutputTest, ControlCharactersGoAndTextOfAllScriptsStays) {
  EXPECT_EQ(cli::WithoutControls("a\x1b[31mb\r\x7f\tc\n"), "a[31mb\tc\n");
  EXPECT_EQ(cli::WithoutControls("c1 \xc2\x9b"
                                 "31m"),
            "c1 31m");
  EXPECT_EQ(cli::WithoutControls("日本語 é ©"), "日本語 é ©");
}

TEST(FormatTest, MoneyIsExact) {
  EXPECT_EQ(cli::FormatUsd(12'300), "$0.000012300");
  EXPECT_EQ(cli::FormatUsd(2'000'000'001), "$2.000000001");
}

}  // namespace
}  // namespace aibackend::client
