#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/synchronization/notification.h"
#include "server/base/status.h"
#include "server/models/anthropic_model.h"
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

Reason::Reason ReasonOfStream(std::string events) {
  return ReasonOf(ResultOf(Streaming(std::move(events))).status);
}

Reason::Reason ReasonOfWhole(const std::string& body) {
  return ReasonOf(ResultOf(Sending(HttpResponse(200, body)), false).status);
}

TEST(AnthropicModelFaults, AStreamThatEndsWithoutAnEndIsTruncated) {
  EXPECT_EQ(ReasonOfStream(Start() + Token("half")), Reason::UPSTREAM_TRUNCATED);
  EXPECT_EQ(ReasonOfStream(Start()), Reason::UPSTREAM_TRUNCATED);
  EXPECT_EQ(ReasonOfStream(Start() + Token("half") + "event: message_stop\ndata: {\"ty"),
            Reason::UPSTREAM_TRUNCATED);
  EXPECT_EQ(
      ReasonOf(
          ResultOf(Sending(ChunkedHeader("text/event-stream") + std::string(kLastChunk))).status),
      Reason::UPSTREAM_TRUNCATED);
}

TEST(AnthropicModelFaults, AConnectionThatBreaksMidStreamIsTruncatedAndWhatCameIsCounted) {
  for (const bool reset : {false, true}) {
    absl::Notification seen;
    Fixture fixture([&](Connection& connection) {
      connection.ReadRequest();
      connection.Send(ChunkedHeader("text/event-stream") + Chunk(Start(9) + Token("12345678")));
      seen.WaitForNotification();
      if (reset) connection.Reset();
    });
    fixture.Start();
    fixture.sink->WaitText("12345678");
    seen.Notify();
    const GenerateResult result = fixture.sink->WaitDone();
    EXPECT_EQ(ReasonOf(result.status), Reason::UPSTREAM_TRUNCATED);
    EXPECT_EQ(result.usage.prompt_tokens, 9);
    EXPECT_EQ(result.usage.completion_tokens, 2);
    EXPECT_TRUE(result.usage.estimated);
  }
}

TEST(AnthropicModelFaults, ABreakAfterTheStopReasonLosesNothing) {
  const GenerateResult result = ResultOf(Sending(
      ChunkedHeader("text/event-stream") + Chunk(Start() + Token("x") + StopReason("end_turn"))));
  EXPECT_EQ(result.status, absl::OkStatus());
  EXPECT_EQ(result.finish_reason, "stop");
  EXPECT_FALSE(result.usage.estimated);
}

TEST(AnthropicModelFaults, MessageStopWithoutAStopReasonIsAnEndIfTextCame) {
  EXPECT_EQ(ResultOf(Streaming(Start() + Token("x") + Stop())).finish_reason, "stop");
  EXPECT_EQ(ReasonOfStream(Start() + Stop()), Reason::UPSTREAM_BAD_RESPONSE);
}

TEST(AnthropicModelFaults, AnErrorEventIsAnErrorOfItsType) {
  const auto reason = [](const std::string& type) {
    return ReasonOfStream(Start() + Token("half") + "event: error\ndata: " + ErrorBody(type) +
                          "\n\n" + Stop());
  };
  EXPECT_EQ(reason("overloaded_error"), Reason::UPSTREAM_UNAVAILABLE);
  EXPECT_EQ(reason("api_error"), Reason::UPSTREAM_UNAVAILABLE);
  EXPECT_EQ(reason("timeout_error"), Reason::UPSTREAM_UNAVAILABLE);
  EXPECT_EQ(reason("rate_limit_error"), Reason::UPSTREAM_RATE_LIMITED);
  EXPECT_EQ(reason("authentication_error"), Reason::UPSTREAM_REFUSED_CREDENTIALS);
  EXPECT_EQ(reason("invalid_request_error"), Reason::UPSTREAM_REJECTED_REQUEST);
  EXPECT_EQ(reason("an_error_of_tomorrow"), Reason::UPSTREAM_BAD_RESPONSE);
}

TEST(AnthropicModelFaults, AnErrorInAWhole200IsAnErrorToo) {
  EXPECT_EQ(ReasonOfWhole(ErrorBody("overloaded_error")), Reason::UPSTREAM_UNAVAILABLE);
}

TEST(AnthropicModelFaults, EachHttpStatusHasItsReason) {
  const std::vector<std::pair<int, Reason::Reason>> table = {
      {400, Reason::UPSTREAM_REJECTED_REQUEST},    {401, Reason::UPSTREAM_REFUSED_CREDENTIALS},
      {402, Reason::UPSTREAM_REFUSED_CREDENTIALS}, {403, Reason::UPSTREAM_REFUSED_CREDENTIALS},
      {404, Reason::UPSTREAM_REJECTED_REQUEST},    {413, Reason::UPSTREAM_REJECTED_REQUEST},
      {422, Reason::UPSTREAM_REJECTED_REQUEST},    {429, Reason::UPSTREAM_RATE_LIMITED},
      {500, Reason::UPSTREAM_UNAVAILABLE},         {504, Reason::UPSTREAM_UNAVAILABLE},
      {529, Reason::UPSTREAM_UNAVAILABLE},         {302, Reason::UPSTREAM_BAD_RESPONSE}};
  for (const auto& [status, reason] : table) {
    const GenerateResult result =
        ResultOf(Sending(HttpResponse(status, "{}", "Retry-After: 3\r\n")));
    EXPECT_EQ(ReasonOf(result.status), reason) << status;
    EXPECT_EQ(result.usage.prompt_tokens, 0) << "an error status used nothing";
    EXPECT_EQ(result.usage.completion_tokens, 0);
    EXPECT_EQ(RetryAfterOf(result.status).has_value(), MappingOf(reason).retryable()) << status;
  }
}

TEST(AnthropicModelFaults, ARejectedRequestSaysWhyButNeverTheKey) {
  const auto message = [](int status, const std::string& body) {
    return std::string(ResultOf(Sending(HttpResponse(status, body))).status.message());
  };
  EXPECT_THAT(message(400, ErrorBody("invalid_request_error", "prompt is too long for sk-sesame")),
              HasSubstr("prompt is too long for ***"));
  EXPECT_THAT(message(401, ErrorBody("authentication_error", "of organization org-1")),
              Not(HasSubstr("org-1")));
}

TEST(AnthropicModelFaults, WhatIsNoJsonIsABadResponse) {
  EXPECT_EQ(ReasonOfStream(Start() + "data: {oops\n\n"), Reason::UPSTREAM_BAD_RESPONSE);
  EXPECT_EQ(ReasonOfStream("data: 42\n\n"), Reason::UPSTREAM_BAD_RESPONSE);
  EXPECT_EQ(ReasonOfStream("oops\n\noops\n"), Reason::UPSTREAM_BAD_RESPONSE);
  EXPECT_EQ(ReasonOfWhole("{\"content\":["), Reason::UPSTREAM_BAD_RESPONSE);
}

TEST(AnthropicModelFaults, AWebPageIsABadResponse) {
  const std::string page =
      HttpResponse(200, "<html>Welcome!</html>", "Content-Type: text/html; charset=utf-8\r\n");
  for (const bool stream : {false, true}) {
    EXPECT_EQ(ReasonOf(ResultOf(Sending(page), stream).status), Reason::UPSTREAM_BAD_RESPONSE);
  }
}

TEST(AnthropicModelFaults, AnUpstreamThatAnswersInTheOtherFormIsUnderstood) {
  Fixture whole(Sending(HttpResponse(200, WholeAnswer("whole"))));
  EXPECT_EQ(whole.Run().status, absl::OkStatus());
  EXPECT_EQ(whole.sink->text(), "whole");
  Fixture streamed(Streaming(Start() + Token("stre") + Token("amed") + End()));
  streamed.request.stream = false;
  EXPECT_EQ(streamed.Run().status, absl::OkStatus());
  EXPECT_EQ(streamed.sink->text(), "streamed");
}

TEST(AnthropicModelFaults, AnAnswerWithoutContentOrWithOnlyAToolCallIsABadResponse) {
  EXPECT_EQ(ReasonOfWhole("{}"), Reason::UPSTREAM_BAD_RESPONSE);
  EXPECT_EQ(ReasonOfWhole(R"({"content":[{"type":"tool_use"}],"stop_reason":"tool_use"})"),
            Reason::UPSTREAM_BAD_RESPONSE);
  EXPECT_EQ(ReasonOfStream(Event({{"type", "content_block_start"},
                                  {"content_block", {{"type", "tool_use"}}}}) +
                           End("tool_use")),
            Reason::UPSTREAM_BAD_RESPONSE);
}

TEST(AnthropicModelFaults, ARefusalWithoutTextIsAnAnswer) {
  const GenerateResult result = ResultOf(Streaming(Start() + End("refusal")));
  EXPECT_EQ(result.status, absl::OkStatus());
  EXPECT_EQ(result.finish_reason, "content_filter");
}

TEST(AnthropicModelFaults, AnAnswerBeyondItsLimitIsRefusedAndTheUpstreamIsCutOff) {
  absl::Notification closed;
  Fixture fixture([&](Connection& connection) {
    connection.ReadRequest();
    connection.Send(ChunkedHeader("text/event-stream"));
    connection.Send(Chunk(Start() + Token(std::string(60, 'a')) + Token(std::string(60, 'b'))));
    if (connection.SeesEof()) closed.Notify();
  });
  fixture.options.limits.answer_bytes_max = 100;
  EXPECT_EQ(ReasonOf(fixture.Run().status), Reason::UPSTREAM_BAD_RESPONSE);
  EXPECT_EQ(fixture.sink->text(), std::string(60, 'a'));
  EXPECT_TRUE(closed.WaitForNotificationWithTimeout(kPatience));
}

TEST(AnthropicModelFaults, AnEventOfEndlessLengthIsABadResponse) {
  EXPECT_EQ(ReasonOfStream("data: " + std::string(2 * 1024 * 1024, 'x')),
            Reason::UPSTREAM_BAD_RESPONSE);
}

TEST(AnthropicModelFaults, AnUpstreamThatCannotBeReachedIsUnavailableAndUsedNothing) {
  Fixture fixture(Sending(""));
  fixture.options.base_url = "http://127.0.0.1:1";
  const GenerateResult result = fixture.Run();
  EXPECT_EQ(ReasonOf(result.status), Reason::UPSTREAM_UNAVAILABLE);
  EXPECT_EQ(result.usage.prompt_tokens, 0);
}

TEST(AnthropicModelFaults, AnUpstreamThatResetsBeforeItAnswersIsUnavailable) {
  EXPECT_EQ(ReasonOf(ResultOf([](Connection& connection) {
                       connection.ReadRequest();
                       connection.Reset();
                     }).status),
            Reason::UPSTREAM_UNAVAILABLE);
}

TEST(AnthropicModelFaults, AnUpstreamThatNeverAnswersOrStallsTimesOut) {
  Fixture silent([](Connection& connection) { connection.SeesEof(); });
  silent.options.timeouts.first_byte = absl::Milliseconds(50);
  EXPECT_EQ(ReasonOf(silent.Run().status), Reason::UPSTREAM_TIMEOUT);
  Fixture stalled([](Connection& connection) {
    connection.ReadRequest();
    connection.Send(ChunkedHeader("text/event-stream") + Chunk(Start() + Token("x")));
    connection.SeesEof();
  });
  stalled.options.timeouts.idle = absl::Milliseconds(50);
  EXPECT_EQ(ReasonOf(stalled.Run().status), Reason::UPSTREAM_TIMEOUT);
}

}  // namespace
}  // namespace aibackend::models
