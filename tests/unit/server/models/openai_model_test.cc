#include "server/models/openai_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "server/base/status.h"
#include "tests/unit/server/models/openai_fixture.h"

namespace aibackend::models {
namespace {

using ::aibackend::testing::Chunk;
using ::aibackend::testing::ChunkedHeader;
using ::aibackend::testing::Connection;
using ::aibackend::testing::HttpResponse;
using ::aibackend::testing::kLastChunk;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(OpenAiModel, AStreamArrivesInOrderWithItsEndAndItsUsage) {
  Fixture fixture(
      Streaming(Token("Fine, ") + Token("thanks.") + End() + UsageEvent(9, 4) + kDoneEvent));
  const GenerateResult result = fixture.Run();
  EXPECT_EQ(result.status, absl::OkStatus());
  EXPECT_EQ(fixture.sink->text(), "Fine, thanks.");
  EXPECT_EQ(result.finish_reason, "stop");
  EXPECT_EQ(result.outcome, Outcome::kAnswered);
  EXPECT_EQ(result.usage.prompt_tokens, 9);
  EXPECT_EQ(result.usage.completion_tokens, 4);
  EXPECT_FALSE(result.usage.estimated);
}

TEST(OpenAiModel, AWholeAnswerIsOneDelta) {
  Fixture fixture(Sending(HttpResponse(200, WholeAnswer("All of it.", "length"))));
  fixture.request.stream = false;
  const GenerateResult result = fixture.Run();
  EXPECT_EQ(result.status, absl::OkStatus());
  EXPECT_EQ(fixture.sink->text(), "All of it.");
  EXPECT_EQ(fixture.sink->deltas(), 1);
  EXPECT_EQ(result.finish_reason, "length");
  EXPECT_EQ(result.usage.prompt_tokens, 11);
  EXPECT_EQ(result.usage.completion_tokens, 7);
}

TEST(OpenAiModel, TheRequestGoesToTheBaseUrlWithKeyAndModel) {
  Fixture fixture(Streaming(Token("x") + End()));
  fixture.Run();
  const std::string sent = fixture.server.requests().at(0);
  EXPECT_THAT(sent, StartsWith("POST /v1/chat/completions HTTP/1.1\r\n"));
  EXPECT_THAT(sent, HasSubstr("\r\nAuthorization: Bearer sk-sesame\r\n"));
  EXPECT_THAT(sent, HasSubstr("\r\nContent-Type: application/json\r\n"));
  EXPECT_EQ(fixture.SentBody()["model"], "upstream-small");
  EXPECT_EQ(fixture.SentBody()["stream_options"]["include_usage"], true);
}

TEST(OpenAiModel, WithoutAKeyThereIsNoAuthorizationAndWithoutAModelNameTheIdServes) {
  Fixture fixture(Streaming(Token("x") + End()));
  fixture.options.api_key = "";
  fixture.options.upstream_model = "";
  fixture.Run();
  EXPECT_THAT(fixture.server.requests().at(0), Not(HasSubstr("Authorization")));
  EXPECT_EQ(fixture.SentBody()["model"], "small");
}

TEST(OpenAiModel, InfoNamesTheUpstreamButNotTheKey) {
  Fixture fixture(Streaming(Token("x") + End()));
  fixture.Run();
  const ModelInfo info = fixture.model->info();
  EXPECT_EQ(info.id, "small");
  EXPECT_EQ(info.provider, "openai");
  EXPECT_EQ(info.description, "upstream-small at " + fixture.server.origin());
}

TEST(OpenAiModel, DeltasAreNotHeldBackUntilTheEnd) {
  absl::Notification first_seen;
  Fixture fixture([&](Connection& connection) {
    connection.ReadRequest();
    connection.Send(ChunkedHeader("text/event-stream") + Chunk(Token("first ")));
    first_seen.WaitForNotification();
    connection.Send(Chunk(Token("second") + End() + kDoneEvent));
    connection.Send(kLastChunk);
  });
  fixture.Start();
  fixture.sink->WaitText("first ");
  first_seen.Notify();
  EXPECT_EQ(fixture.sink->WaitDone().status, absl::OkStatus());
  EXPECT_EQ(fixture.sink->text(), "first second");
}

TEST(OpenAiModel, DoneEndsTheAnswerThoughTheUpstreamKeepsTheResponseOpen) {
  Fixture fixture([](Connection& connection) {
    connection.ReadRequest();
    connection.Send(ChunkedHeader("text/event-stream") + Chunk(Token("x") + End() + kDoneEvent));
    connection.SeesEof();
  });
  EXPECT_EQ(fixture.Run().status, absl::OkStatus());
}

TEST(OpenAiModel, WithoutReportedUsageItIsEstimated) {
  const GenerateResult result = ResultOf(Streaming(Token("12345678") + End() + kDoneEvent));
  EXPECT_TRUE(result.usage.estimated);
  EXPECT_EQ(result.usage.prompt_tokens, 5);
  EXPECT_EQ(result.usage.completion_tokens, 2);
}

TEST(OpenAiModel, EveryFinishReasonComesThrough) {
  for (const std::string reason : {"stop", "length", "content_filter", "eos"}) {
    EXPECT_EQ(ResultOf(Streaming(Token("x") + End(reason) + kDoneEvent)).finish_reason, reason);
  }
}

TEST(OpenAiModel, KeepAlivesAndChunksWithoutChoicesAreSkipped) {
  const GenerateResult result = ResultOf(Streaming(
      ": ping\n\ndata:\n\n" + Event({{"prompt_filter_results", nlohmann::json::array()}}) +
      Token("x") + End() + kDoneEvent));
  EXPECT_EQ(result.status, absl::OkStatus());
}

TEST(OpenAiModel, CancelReachesTheUpstreamAndWhatCameIsCounted) {
  absl::Notification closed;
  Fixture fixture([&](Connection& connection) {
    connection.ReadRequest();
    connection.Send(ChunkedHeader("text/event-stream") + Chunk(Token("12345678")));
    if (connection.SeesEof()) closed.Notify();
  });
  auto generation = fixture.Start();
  fixture.sink->WaitText("12345678");
  generation->Cancel();
  generation->Cancel();
  const GenerateResult result = fixture.sink->WaitDone();
  EXPECT_EQ(ReasonOf(result.status), Reason::CANCELLED);
  EXPECT_EQ(result.usage.prompt_tokens, 5);
  EXPECT_EQ(result.usage.completion_tokens, 2);
  EXPECT_TRUE(result.usage.estimated);
  EXPECT_TRUE(closed.WaitForNotificationWithTimeout(kPatience));
}

TEST(OpenAiModel, CancelBeforeTheFirstByteCountsThePrompt) {
  Fixture fixture([](Connection& connection) { connection.SeesEof(); });
  fixture.Start()->Cancel();
  const GenerateResult result = fixture.sink->WaitDone();
  EXPECT_EQ(ReasonOf(result.status), Reason::CANCELLED);
  EXPECT_EQ(result.usage.prompt_tokens, 5);
  EXPECT_EQ(result.usage.completion_tokens, 0);
}

TEST(OpenAiModel, DroppingTheGenerationDoesNotCancelIt) {
  absl::Notification dropped;
  Fixture fixture([&](Connection& connection) {
    connection.ReadRequest();
    dropped.WaitForNotification();
    connection.Send(ChunkedHeader("text/event-stream") + Chunk(Token("x") + End() + kDoneEvent));
    connection.Send(kLastChunk);
  });
  fixture.Start().reset();
  fixture.model.reset();
  dropped.Notify();
  EXPECT_EQ(fixture.sink->WaitDone().status, absl::OkStatus());
}

TEST(OpenAiModel, AGroundedPromptHoldsThePassagesAndTheAnswerIsLeftAsItIs) {
  Fixture fixture(Streaming(Token("Beta is second [") + Token("2]. See [7].") + End()));
  fixture.request.grounding = TwoPassages(false);
  const GenerateResult result = fixture.Run();
  EXPECT_EQ(result.outcome, Outcome::kAnswered);
  EXPECT_EQ(fixture.sink->text(), "Beta is second [2]. See [7].");
  const auto messages = fixture.SentBody()["messages"];
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_EQ(messages[0]["role"], "system");
  EXPECT_THAT(messages[0]["content"].get<std::string>(), HasSubstr("Alpha is first."));
  EXPECT_GT(result.usage.prompt_tokens, 50) << "the passages are part of the prompt";
}

TEST(OpenAiModel, TheFixedSentenceMeansNoContextInStrictMode) {
  for (const bool strict : {true, false}) {
    Fixture fixture(Streaming(Token(kNoContextAnswer) + End() + kDoneEvent));
    fixture.request.grounding = TwoPassages(strict);
    const GenerateResult result = fixture.Run();
    EXPECT_EQ(result.status, absl::OkStatus());
    EXPECT_EQ(result.outcome, strict ? Outcome::kNoContext : Outcome::kAnswered);
    EXPECT_TRUE(result.citations.empty());
  }
}

// Answers each request of a connection by streaming its last message back, byte by byte.
void StreamEcho(Connection& connection) {
  for (;;) {
    const std::string request = connection.ReadRequest();
    if (request.empty()) return;
    const auto body = nlohmann::json::parse(request.substr(request.find("\r\n\r\n") + 4));
    connection.Send(ChunkedHeader("text/event-stream"));
    for (const char c : body["messages"].back()["content"].get<std::string>()) {
      connection.Send(Chunk(Token(std::string(1, c))));
    }
    connection.Send(Chunk(End() + kDoneEvent));
    connection.Send(kLastChunk);
  }
}

TEST(OpenAiModel, TheConnectionIsReusedAfterAStream) {
  Fixture fixture(StreamEcho);
  fixture.Run();
  for (int i = 0; i < 5; ++i) {
    // The end reaches the sink at [DONE], a moment before the response is complete; a stream that
    // begins within it opens a second connection.
    fixture.sink = std::make_shared<RecordingSink>();
    EXPECT_EQ(fixture.Run().status, absl::OkStatus());
  }
  EXPECT_LE(fixture.server.connections(), 2);
}

TEST(OpenAiModel, ManyGenerationsAtOnceDoNotMixUp) {
  Fixture fixture(StreamEcho);
  fixture.model = std::make_unique<OpenAiModel>(fixture.http, fixture.options);
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (int i = 0; i < 100; ++i) {
    fixture.request.messages[0].content = absl::StrCat("question number ", i);
    sinks.push_back(std::make_shared<RecordingSink>());
    fixture.model->Generate(fixture.request, sinks.back());
  }
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(sinks[i]->WaitDone().status, absl::OkStatus());
    EXPECT_EQ(sinks[i]->text(), absl::StrCat("question number ", i));
  }
}

}  // namespace
}  // namespace aibackend::models
