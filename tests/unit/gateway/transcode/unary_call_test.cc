#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/unit/gateway/transcode/call_fixture.h"

namespace aibackend::gateway {
namespace {

using UnaryCallTest = CallTest;
using Ending = FakeExchange::Ending;

TEST_F(UnaryCallTest, TheAnswerIsJson) {
  backend_.on_chat = [](grpc::ServerContext*, const v1::ChatRequest&, v1::ChatResponse* response) {
    response->set_response("hi");
    return grpc::Status::OK;
  };
  Start("/chat");
  const auto answer = exchange_->WaitForEnding();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.Header("Content-Type"), "application/json");
  EXPECT_EQ(nlohmann::json::parse(answer.body)["response"], "hi");
}

TEST_F(UnaryCallTest, TheStatusOfSuccessIsTheAnnotations) {
  const auto found = table_.Find("POST", "/process");
  StartCall(exchange_, *found.route, v1::StartJobRequest(), "req_1", options_, upstream_);
  EXPECT_EQ(exchange_->WaitForEnding().status, 202);
}

TEST_F(UnaryCallTest, TheRequestsIdAndKeysGoOnAsMetadata) {
  std::multimap<std::string, std::string> seen;
  backend_.on_chat = [&seen](grpc::ServerContext* context, const v1::ChatRequest&,
                             v1::ChatResponse*) {
    for (const auto& [name, value] : context->client_metadata())
      seen.emplace(std::string(name.data(), name.size()), std::string(value.data(), value.size()));
    return grpc::Status::OK;
  };
  exchange_->trace = "00-2";
  exchange_->sent.headers = {{"Authorization", "Bearer k"},
                             {"X-Api-Key", "k2"},
                             {"Traceparent", "00-1"},
                             {"Idempotency-Key", "i"},
                             {"Cookie", "secret"}};
  Start("/chat");
  exchange_->WaitForEnding();
  EXPECT_EQ(seen.find("x-request-id")->second, "req_1");
  EXPECT_EQ(seen.find("authorization")->second, "Bearer k");
  EXPECT_EQ(seen.find("x-api-key")->second, "k2");
  // Not the client's: the gateway's own span stands between.
  EXPECT_EQ(seen.count("traceparent"), 1u);
  EXPECT_EQ(seen.find("traceparent")->second, "00-2");
  EXPECT_EQ(seen.find("idempotency-key")->second, "i");
  EXPECT_EQ(seen.count("cookie"), 0u);
}

TEST_F(UnaryCallTest, AnErrorIsItsStatusAndItsReason) {
  backend_.on_chat = [](grpc::ServerContext*, const v1::ChatRequest&, v1::ChatResponse*) {
    return ErrorStatus(grpc::StatusCode::RESOURCE_EXHAUSTED, "OVERLOADED", "later", "", 2500);
  };
  Start("/chat");
  const auto answer = exchange_->WaitForEnding();
  EXPECT_EQ(answer.status, 429);
  EXPECT_EQ(answer.Header("Retry-After"), "3");
  EXPECT_EQ(nlohmann::json::parse(answer.body)["error"]["request_id"], "req_1");
}

TEST_F(UnaryCallTest, AClientThatLeavesCancelsTheCall) {
  absl::Notification running;
  absl::Notification cancelled;
  backend_.on_chat = [&](grpc::ServerContext* context, const v1::ChatRequest&, v1::ChatResponse*) {
    running.Notify();
    if (WaitUntilCancelled(context)) cancelled.Notify();
    return grpc::Status::CANCELLED;
  };
  Start("/chat");
  running.WaitForNotification();
  exchange_->Leave();
  EXPECT_TRUE(cancelled.WaitForNotificationWithTimeout(absl::Seconds(10)));
  EXPECT_EQ(exchange_->WaitForEnding().status, 499);
}

TEST_F(UnaryCallTest, ACallThatTakesTooLongIs504) {
  backend_.on_chat = [](grpc::ServerContext* context, const v1::ChatRequest&, v1::ChatResponse*) {
    WaitUntilCancelled(context);
    return grpc::Status::CANCELLED;
  };
  options_.timeout = absl::Milliseconds(50);
  Start("/chat");
  const auto answer = exchange_->WaitForEnding();
  EXPECT_EQ(answer.status, 504);
  EXPECT_EQ(nlohmann::json::parse(answer.body)["error"]["reason"], "DEADLINE_EXCEEDED");
}

}  // namespace
}  // namespace aibackend::gateway
