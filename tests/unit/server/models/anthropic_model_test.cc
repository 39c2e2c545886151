#include "server/models/anthropic_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "server/base/status.h"
#include "tests/unit/server/models/anthropic_fixture.h"

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

TEST(AnthropicModel, AStreamArrivesInOrderWithItsEndAndItsUsage) {
  Fixture fixture(Streaming(Start() + Token("Fine, ") + Token("thanks.") + End()));
  const GenerateResult result = fixture.Run();
  EXPECT_EQ(result.status, absl::OkStatus());
  EXPECT_EQ(fixture.sink->text(), "Fine, thanks.");
  EXPECT_EQ(result.finish_reason, "stop");
  EXPECT_EQ(result.outcome, Outcome::kAnswered);
  EXPECT_EQ(result.usage.prompt_tokens, 9);
  EXPECT_EQ(result.usage.completion_tokens, 4);
  EXPECT_FALSE(result.usage.estimated);
}

TEST(AnthropicModel, AWholeAnswerIsOneDelta) {
  Fixture fixture(Sending(HttpResponse(200, WholeAnswer("All of it.", "max_tokens"))));
  fixture.request.stream = false;
  const GenerateResult result = fixture.Run();
  EXPECT_EQ(result.status, absl::OkStatus());
  EXPECT_EQ(fixture.sink->text(), "All of it.");
  EXPECT_EQ(fixture.sink->deltas(), 1);
  EXPECT_EQ(result.finish_reason, "length");
  EXPECT_EQ(result.usage.prompt_tokens, 11);
  EXPECT_EQ(result.usage.completion_tokens, 7);
  EXPECT_FALSE(result.usage.estimated);
}

TEST(AnthropicModel, AStreamMayBeCutAnywhere) {
  const std::string events = Start() + Token("naïve ") + Token("€\n") + End();
  Fixture fixture(StreamingInTwo(events));
  for (size_t cut = 1; cut < events.size(); ++cut) {
    fixture.request.max_tokens = static_cast<int>(cut);
    fixture.sink = std::make_shared<RecordingSink>();
    const GenerateResult result = fixture.Run();
    ASSERT_EQ(result.status, absl::OkStatus()) << cut;
    ASSERT_EQ(fixture.sink->text(), "naïve €\n") << cut;
    ASSERT_EQ(result.usage.completion_tokens, 4) << cut;
  }
}

TEST(AnthropicModel, TheRequestGoesToMessagesWithKeyVersionAndModel) {
  Fixture fixture(Streaming(Start() + Token("x") + End()));
  fixture.Run();
  const std::string sent = fixture.server.requests().at(0);
  EXPECT_THAT(sent, StartsWith("POST /v1/messages HTTP/1.1\r\n"));
  EXPECT_THAT(sent, HasSubstr("\r\nx-api-key: sk-sesame\r\n"));
  EXPECT_THAT(sent, HasSubstr("\r\nanthropic-version: 2023-06-01\r\n"));
  EXPECT_THAT(sent, HasSubstr("\r\nContent-Type: application/json\r\n"));
  EXPECT_THAT(sent, Not(HasSubstr("Authorization")));
  EXPECT_EQ(fixture.SentBody()["model"], "upstream-small");
  EXPECT_EQ(fixture.SentBody()["stream"], true);
  EXPECT_EQ(fixture.SentBody()["max_tokens"], 4096);
}

TEST(AnthropicModel, TheBaseUrlMayLeaveOutTheVersion) {
  const std::vector<std::pair<std::string, std::string>> table = {{"", "/v1/messages"},
                                                                  {"/", "/v1/messages"},
                                                                  {"/v1", "/v1/messages"},
                                                                  {"/proxy/", "/proxy/v1/messages"},
                                                                  {"/p/v1/", "/p/v1/messages"}};
  for (const auto& [base, path] : table) {
    Fixture fixture(Streaming(Start() + Token("x") + End()));
    fixture.options.base_url = fixture.server.origin() + base;
    fixture.Run();
    EXPECT_THAT(fixture.server.requests().at(0), StartsWith("POST " + path + " HTTP")) << base;
  }
}

TEST(AnthropicModel, WithoutAKeyThereIsNoHeaderForItAndWithoutAModelNameTheIdServes) {
  Fixture fixture(Streaming(Start() + Token("x") + End()));
  fixture.options.api_key = "";
  fixture.options.upstream_model = "";
  fixture.request.max_tokens = 7;
  fixture.Run();
  EXPECT_THAT(fixture.server.requests().at(0), Not(HasSubstr("x-api-key")));
  EXPECT_EQ(fixture.SentBody()["model"], "small");
  EXPECT_EQ(fixture.SentBody()["max_tokens"], 7);
}

TEST(AnthropicModel, InfoNamesTheUpstreamAndItsRangeButNotTheKey) {
  Fixture fixture(Streaming(Start() + Token("x") + End()));
  fixture.Run();
  const ModelInfo info = fixture.model->info();
  EXPECT_EQ(info.id, "small");
  EXPECT_EQ(info.provider, "anthropic");
  EXPECT_EQ(info.description, "upstream-small at " + fixture.server.origin());
  EXPECT_EQ(info.temperature_max, 1);
  EXPECT_THAT(info.ignored_parameters, ::testing::ElementsAre("seed", "top_logprobs"));
}

TEST(AnthropicModel, DeltasAreNotHeldBackUntilTheEnd) {
  absl::Notification first_seen;
  Fixture fixture([&](Connection& connection) {
    connection.ReadRequest();
    connection.Send(ChunkedHeader("text/event-stream") + Chunk(Start() + Token("first ")));
    first_seen.WaitForNotification();
    connection.Send(Chunk(Token("second") + End()));
    connection.Send(kLastChunk);
  });
  fixture.Start();
  fixture.sink->WaitText("first ");
  first_seen.Notify();
  EXPECT_EQ(fixture.sink->WaitDone().status, absl::OkStatus());
  EXPECT_EQ(fixture.sink->text(), "first second");
}

TEST(AnthropicModel, MessageStopEndsTheAnswerThoughTheUpstreamKeepsTheResponseOpen) {
  Fixture fixture([](Connection& connection) {
    connection.ReadRequest();
    connection.Send(ChunkedHeader("text/event-stream") + Chunk(Start() + Token("x") + End()));
    connection.SeesEof();
  });
  EXPECT_EQ(fixture.Run().status, absl::OkStatus());
}

TEST(AnthropicModel, WhatIsNotReportedIsEstimated) {
  const std::string end =
      Event({{"type", "message_delta"}, {"delta", {{"stop_reason", "end_turn"}}}});
  const GenerateResult nothing = ResultOf(Streaming(Token("12345678") + end + Stop()));
  EXPECT_TRUE(nothing.usage.estimated);
  EXPECT_EQ(nothing.usage.prompt_tokens, 5);
  EXPECT_EQ(nothing.usage.completion_tokens, 2);
  const GenerateResult half = ResultOf(Streaming(Start(9) + Token("12345678") + end + Stop()));
  EXPECT_TRUE(half.usage.estimated);
  EXPECT_EQ(half.usage.prompt_tokens, 9);
  EXPECT_EQ(half.usage.completion_tokens, 2);
}

TEST(AnthropicModel, CancelReachesTheUpstreamAndWhatCameIsCounted) {
  absl::Notification closed;
  Fixture fixture([&](Connection& connection) {
    connection.ReadRequest();
    connection.Send(ChunkedHeader("text/event-stream") + Chunk(Start(9) + Token("12345678")));
    if (connection.SeesEof()) closed.Notify();
  });
  auto generation = fixture.Start();
  fixture.sink->WaitText("12345678");
  generation->Cancel();
  generation->Cancel();
  const GenerateResult result = fixture.sink->WaitDone();
  EXPECT_EQ(ReasonOf(result.status), Reason::CANCELLED);
  EXPECT_EQ(result.usage.prompt_tokens, 9);
  EXPECT_EQ(result.usage.completion_tokens, 2);
  EXPECT_TRUE(result.usage.estimated);
  EXPECT_TRUE(closed.WaitForNotificationWithTimeout(kPatience));
}

TEST(AnthropicModel, CancelBeforeTheFirstByteCountsThePrompt) {
  Fixture fixture([](Connection& connection) { connection.SeesEof(); });
  fixture.Start()->Cancel();
  const GenerateResult result = fixture.sink->WaitDone();
  EXPECT_EQ(ReasonOf(result.status), Reason::CANCELLED);
  EXPECT_EQ(result.usage.prompt_tokens, 5);
  EXPECT_EQ(result.usage.completion_tokens, 0);
}

TEST(AnthropicModel, ThePassagesEndTheSystemPromptAndTheAnswerIsLeftAsItIs) {
  Fixture fixture(Streaming(Start() + Token("Beta is second [") + Token("2]. See [7].") + End()));
  fixture.request.messages = {
      {Role::kSystem, "Be brief."}, {Role::kUser, "Hm?"}, {Role::kUser, "How are you?"}};
  fixture.request.grounding = TwoPassages(false);
  const GenerateResult result = fixture.Run();
  EXPECT_EQ(result.outcome, Outcome::kAnswered);
  EXPECT_EQ(fixture.sink->text(), "Beta is second [2]. See [7].");
  const auto body = fixture.SentBody();
  EXPECT_THAT(body["system"].get<std::string>(), StartsWith("Be brief.\n\n"));
  EXPECT_THAT(body["system"].get<std::string>(), HasSubstr("Alpha is first."));
  ASSERT_EQ(body["messages"].size(), 1u);
  EXPECT_EQ(body["messages"][0]["content"].back()["text"], "How are you?");
}

TEST(AnthropicModel, PassagesArePartOfThePromptThatIsEstimated) {
  const auto prompt_tokens = [](bool grounded) {
    Fixture fixture(Streaming(Token("x") + End()));
    if (grounded) fixture.request.grounding = TwoPassages(false);
    return fixture.Run().usage.prompt_tokens;
  };
  EXPECT_EQ(prompt_tokens(false), 5);
  EXPECT_GT(prompt_tokens(true), 50);
}

TEST(AnthropicModel, TheFixedSentenceMeansNoContextInStrictMode) {
  for (const bool strict : {true, false}) {
    Fixture fixture(Streaming(Start() + Token(kNoContextAnswer) + End()));
    fixture.request.grounding = TwoPassages(strict);
    const GenerateResult result = fixture.Run();
    EXPECT_EQ(result.status, absl::OkStatus());
    EXPECT_EQ(result.outcome, strict ? Outcome::kNoContext : Outcome::kAnswered);
    EXPECT_TRUE(result.citations.empty());
  }
}

}  // namespace
}  // namespace aibackend::models
