#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/synchronization/notification.h"
#include "server/base/status.h"
#include "server/models/openai_model.h"
#include "tests/unit/server/models/openai_fixture.h"

namespace aibackend::models {
namespace {

using ::aibackend::testing::Chunk;
using ::aibackend::testing::ChunkedHeader;
using ::aibackend::testing::Connection;
using ::aibackend::testing::HttpResponse;
using ::aibackend::testing::kLastChunk;
using ::testing::HasSubstr;

Reason::Reason ReasonOfStream(std::string events) {
  return ReasonOf(ResultOf(Streaming(std::move(events))).status);
}

TEST(OpenAiModelFaults, AStreamThatEndsWithoutAnEndIsTruncated) {
  EXPECT_EQ(ReasonOfStream(Token("half")), Reason::UPSTREAM_TRUNCATED);
  EXPECT_EQ(ReasonOfStream(Token("half") + "data: {\"choices\":[{\"del"),
            Reason::UPSTREAM_TRUNCATED);
  EXPECT_EQ(ReasonOfStream("data: {\"cho"), Reason::UPSTREAM_TRUNCATED);
  EXPECT_EQ(
      ReasonOf(
          ResultOf(Sending(ChunkedHeader("text/event-stream") + std::string(kLastChunk))).status),
      Reason::UPSTREAM_TRUNCATED);
}

TEST(OpenAiModelFaults, AConnectionThatBreaksMidStreamIsTruncatedAndWhatCameIsCounted) {
  for (const bool reset : {false, true}) {
    absl::Notification seen;
    Fixture fixture([&](Connection& connection) {
      connection.ReadRequest();
      connection.Send(ChunkedHeader("text/event-stream") + Chunk(Token("12345678")));
      seen.WaitForNotification();
      if (reset) connection.Reset();
    });
    fixture.Start();
    fixture.sink->WaitText("12345678");
    seen.Notify();
    const GenerateResult result = fixture.sink->WaitDone();
    EXPECT_EQ(ReasonOf(result.status), Reason::UPSTREAM_TRUNCATED);
    EXPECT_EQ(result.usage.prompt_tokens, 5);
    EXPECT_EQ(result.usage.completion_tokens, 2);
    EXPECT_TRUE(result.usage.estimated);
  }
}

TEST(OpenAiModelFaults, ABreakAfterTheFinishReasonLosesNothing) {
  const GenerateResult result =
      ResultOf(Sending(ChunkedHeader("text/event-stream") + Chunk(Token("x") + End())));
  EXPECT_EQ(result.status, absl::OkStatus());
  EXPECT_EQ(result.finish_reason, "stop");
}

TEST(OpenAiModelFaults, DoneWithoutAFinishReasonIsAnEndIfContentCame) {
  EXPECT_EQ(ResultOf(Streaming(Token("x") + kDoneEvent)).finish_reason, "stop");
  EXPECT_EQ(ReasonOfStream(kDoneEvent), Reason::UPSTREAM_BAD_RESPONSE);
}

TEST(OpenAiModelFaults, AnErrorObjectInTheStreamIsAnErrorOfItsKind) {
  const auto error = [](const char* type) {
    return Token("half") + Event({{"error", {{"message", "m"}, {"type", type}}}}) + kDoneEvent;
  };
  EXPECT_EQ(ReasonOfStream(error("whatever")), Reason::UPSTREAM_BAD_RESPONSE);
  EXPECT_EQ(ReasonOfStream(error("server_error")), Reason::UPSTREAM_UNAVAILABLE);
  EXPECT_EQ(ReasonOfStream(error("rate_limit_error")), Reason::UPSTREAM_RATE_LIMITED);
  EXPECT_EQ(ReasonOfStream("event: error\ndata: {\"message\":\"m\",\"code\":503}\n\n"),
            Reason::UPSTREAM_UNAVAILABLE);
}

TEST(OpenAiModelFaults, AnErrorObjectInAWhole200IsAnErrorToo) {
  EXPECT_EQ(ReasonOf(ResultOf(Sending(HttpResponse(200, R"({"error":{"message":"m","code":503}})")),
                              false)
                         .status),
            Reason::UPSTREAM_UNAVAILABLE);
}

TEST(OpenAiModelFaults, WhatIsNoJsonIsABadResponse) {
  EXPECT_EQ(ReasonOfStream("data: {oops\n\n"), Reason::UPSTREAM_BAD_RESPONSE);
  EXPECT_EQ(ReasonOfStream("data: 42\n\n"), Reason::UPSTREAM_BAD_RESPONSE);
  EXPECT_EQ(ReasonOfStream("oops\n\noops\n"), Reason::UPSTREAM_BAD_RESPONSE);
  EXPECT_EQ(ReasonOf(ResultOf(Sending(HttpResponse(200, "{\"choices\":[")), false).status),
            Reason::UPSTREAM_BAD_RESPONSE);
}

TEST(OpenAiModelFaults, AWebPageIsABadResponse) {
  const std::string page =
      HttpResponse(200, "<html>Welcome!</html>", "Content-Type: text/html; charset=utf-8\r\n");
  for (const bool stream : {false, true}) {
    const GenerateResult result = ResultOf(Sending(page), stream);
    EXPECT_EQ(ReasonOf(result.status), Reason::UPSTREAM_BAD_RESPONSE);
    EXPECT_THAT(std::string(result.status.message()), HasSubstr("web page"));
  }
}

TEST(OpenAiModelFaults, AnUpstreamThatAnswersInTheOtherFormIsUnderstood) {
  Fixture whole(Sending(HttpResponse(200, WholeAnswer("whole"))));
  EXPECT_EQ(whole.Run().status, absl::OkStatus());
  EXPECT_EQ(whole.sink->text(), "whole");
  Fixture streamed(Streaming(Token("stre") + Token("amed") + End() + kDoneEvent));
  streamed.request.stream = false;
  EXPECT_EQ(streamed.Run().status, absl::OkStatus());
  EXPECT_EQ(streamed.sink->text(), "streamed");
}

TEST(OpenAiModelFaults, AnAnswerWithoutAChoiceOrWithOnlyAToolCallIsABadResponse) {
  const auto whole = [](const char* body) {
    return ReasonOf(ResultOf(Sending(HttpResponse(200, body)), false).status);
  };
  EXPECT_EQ(whole(R"({"choices":[]})"), Reason::UPSTREAM_BAD_RESPONSE);
  EXPECT_EQ(whole(R"({})"), Reason::UPSTREAM_BAD_RESPONSE);
  EXPECT_EQ(whole(R"({"choices":[{"message":{"content":null,"tool_calls":[{"id":"1"}]},
                                  "finish_reason":"tool_calls"}]})"),
            Reason::UPSTREAM_BAD_RESPONSE);
  EXPECT_EQ(ReasonOfStream(Event({{"choices", {{{"delta", {{"tool_calls", {{{"index", 0}}}}}}}}}}) +
                           End("tool_calls") + kDoneEvent),
            Reason::UPSTREAM_BAD_RESPONSE);
}

TEST(OpenAiModelFaults, AnEmptyAnswerThatEndedWellIsAnAnswer) {
  EXPECT_EQ(ResultOf(Streaming(End() + kDoneEvent)).status, absl::OkStatus());
}

TEST(OpenAiModelFaults, AnAnswerBeyondItsLimitIsRefusedAndTheUpstreamIsCutOff) {
  absl::Notification closed;
  Fixture fixture([&](Connection& connection) {
    connection.ReadRequest();
    connection.Send(ChunkedHeader("text/event-stream"));
    connection.Send(Chunk(Token(std::string(60, 'a')) + Token(std::string(60, 'b'))));
    if (connection.SeesEof()) closed.Notify();
  });
  fixture.options.limits.answer_bytes_max = 100;
  EXPECT_EQ(ReasonOf(fixture.Run().status), Reason::UPSTREAM_BAD_RESPONSE);
  EXPECT_EQ(fixture.sink->text(), std::string(60, 'a'));
  EXPECT_TRUE(closed.WaitForNotificationWithTimeout(kPatience));
}

TEST(OpenAiModelFaults, AnEventOfEndlessLengthIsABadResponse) {
  EXPECT_EQ(ReasonOfStream("data: " + std::string(2 * 1024 * 1024, 'x')),
            Reason::UPSTREAM_BAD_RESPONSE);
}

TEST(OpenAiModelFaults, AnErrorStatusUsedNothing) {
  const GenerateResult result =
      ResultOf(Sending(HttpResponse(429, "{}", "Retry-After: 3\r\nX: y\r\n")));
  EXPECT_EQ(ReasonOf(result.status), Reason::UPSTREAM_RATE_LIMITED);
  EXPECT_EQ(RetryAfterOf(result.status), absl::Seconds(3));
  EXPECT_EQ(result.usage.prompt_tokens, 0);
  EXPECT_EQ(result.usage.completion_tokens, 0);
}

TEST(OpenAiModelFaults, ARejectedRequestSaysWhyAlsoIfItsErrorIsLongOrCutShort) {
  const std::string body = R"({"error":{"message":"no such model"}})";
  const auto message = [](std::string bytes) {
    const GenerateResult result = ResultOf(Sending(std::move(bytes)));
    EXPECT_EQ(ReasonOf(result.status), Reason::UPSTREAM_REJECTED_REQUEST);
    return std::string(result.status.message());
  };
  EXPECT_THAT(message(HttpResponse(404, body)), HasSubstr("no such model"));
  message(HttpResponse(400, std::string(1024 * 1024, 'x')));
  message("HTTP/1.1 400 Bad\r\nContent-Length: 99\r\n\r\n{\"err");
}

TEST(OpenAiModelFaults, CredentialsThatAreRefusedAreTheServersMatter) {
  EXPECT_EQ(ReasonOf(ResultOf(Sending(HttpResponse(401, "{}"))).status),
            Reason::UPSTREAM_REFUSED_CREDENTIALS);
}

TEST(OpenAiModelFaults, AnUpstreamThatCannotBeReachedIsUnavailableAndUsedNothing) {
  Fixture fixture(Sending(""));
  fixture.options.base_url = "http://127.0.0.1:1/v1";
  const GenerateResult result = fixture.Run();
  EXPECT_EQ(ReasonOf(result.status), Reason::UPSTREAM_UNAVAILABLE);
  EXPECT_EQ(result.usage.prompt_tokens, 0);
}

TEST(OpenAiModelFaults, AnUpstreamThatResetsBeforeItAnswersIsUnavailable) {
  EXPECT_EQ(ReasonOf(ResultOf([](Connection& connection) {
                       connection.ReadRequest();
                       connection.Reset();
                     }).status),
            Reason::UPSTREAM_UNAVAILABLE);
}

TEST(OpenAiModelFaults, AnUpstreamThatNeverAnswersTimesOut) {
  Fixture fixture([](Connection& connection) { connection.SeesEof(); });
  fixture.options.timeouts.first_byte = absl::Milliseconds(50);
  EXPECT_EQ(ReasonOf(fixture.Run().status), Reason::UPSTREAM_TIMEOUT);
}

}  // namespace
}  // namespace aibackend::models
