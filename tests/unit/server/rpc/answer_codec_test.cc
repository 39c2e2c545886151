#include "server/rpc/answer_codec.h"

#include "aibackend/v1/chat.pb.h"
#include "gtest/gtest.h"
#include "server/rpc/convert_chat.h"
#include "server/rpc/idempotency.h"

namespace aibackend::rpc {
namespace {

chat::TurnResult Full() {
  chat::TurnResult result;
  result.answer.text = "The turtle swims.";
  result.answer.reasoning = "It is a turtle.";
  result.answer.tool_calls = {{"c1", "dive", R"({"m":3})"}};
  models::TokenLogprob logprob;
  logprob.token = "The";
  logprob.logprob = -0.25;
  logprob.bytes = {84, 104, 101};
  logprob.top_logprobs = {{"A", -2, {65}, {}}};
  result.answer.logprobs = {logprob};
  result.model = "m";
  result.finish_reason = "stop";
  result.stop_sequence = "END";
  result.outcome = models::Outcome::kNoContext;
  result.citations = {{"doc", "doc#0", "title", "source", "turtle", 14, 20, 2}};
  result.dropped_citations = 3;
  result.usage = {3, 4, true, 1, 2};
  result.cost = NanoUsd{5'000'000'000};
  result.confidence = 0.75;
  result.elapsed = absl::Milliseconds(1234);
  return result;
}

std::string Whole(const chat::TurnResult& result) {
  v1::ChatResponse response;
  FillWhole(result, "req_1", &response);
  return response.ShortDebugString();
}

TEST(AnswerCodec, AnAnswerThatWasStoredIsGivenAgainToTheLastField) {
  const chat::AnswerCodec codec = MakeAnswerCodec();
  const auto again = codec.decode(codec.encode(Full(), "req_1"));
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(Whole(*again), Whole(Full()));
}

TEST(AnswerCodec, WhatIsNoStoredAnswerIsNone) {
  const chat::AnswerCodec codec = MakeAnswerCodec();
  const std::string bytes = codec.encode(Full(), "req_1");
  EXPECT_FALSE(codec.decode(""));
  EXPECT_FALSE(codec.decode("garbage"));
  EXPECT_FALSE(codec.decode(bytes.substr(0, bytes.size() - 1)));  // within a field
}

TEST(Fingerprint, IsThatOfTheContent) {
  v1::ChatRequest request;
  request.set_prompt("What swims?");
  const std::string first = Fingerprint(request);
  EXPECT_EQ(first.size(), 64u);
  v1::ChatRequest other = request;
  EXPECT_EQ(Fingerprint(other), first);
  other.set_temperature(0);  // set is not the same as absent
  EXPECT_NE(Fingerprint(other), first);
}

}  // namespace
}  // namespace aibackend::rpc
