#include "gateway/transcode/observed_exchange.h"

#include <gtest/gtest.h>

#include "tests/unit/gateway/fake_exchange.h"

namespace aibackend::gateway {
namespace {

class ObservedExchangeTest : public testing::Test {
 protected:
  std::shared_ptr<Exchange> Observe() {
    return std::make_shared<ObservedExchange>(inner_, "req_1", route_, live_);
  }
  bool Shows(const std::string& line) {
    return metrics_.Text(EdgeStats()).find(line + "\n") != std::string::npos;
  }

  Metrics metrics_;
  LiveCount live_;
  const RouteMetrics& route_ = metrics_.Add("POST", "/v1/chat");
  std::shared_ptr<FakeExchange> inner_ = std::make_shared<FakeExchange>();
};

TEST_F(ObservedExchangeTest, EachRequestIsCountedOnceByItsClass) {
  auto exchange = Observe();
  EXPECT_TRUE(Shows("aib_gateway_requests_in_flight{method=\"POST\",route=\"/v1/chat\"} 1"));
  exchange->Respond(404, {}, "x");
  exchange.reset();
  EXPECT_TRUE(Shows("aib_gateway_requests_in_flight{method=\"POST\",route=\"/v1/chat\"} 0"));
  EXPECT_TRUE(
      Shows("aib_gateway_requests_total{method=\"POST\",route=\"/v1/chat\",status=\"4xx\"} 1"));
  EXPECT_TRUE(Shows("aib_gateway_request_seconds_count{method=\"POST\",route=\"/v1/chat\"} 1"));
  EXPECT_EQ(inner_->answer().Header("x-request-id"), "req_1");
}

TEST_F(ObservedExchangeTest, OneThatIsDroppedCountsAsAFailure) {
  Observe().reset();
  EXPECT_TRUE(
      Shows("aib_gateway_requests_total{method=\"POST\",route=\"/v1/chat\",status=\"5xx\"} 1"));
}

TEST_F(ObservedExchangeTest, AClientThatLeftIsNoFailureOfOurs) {
  auto exchange = Observe();
  exchange->Begin(200, {});
  inner_->Leave();
  exchange->Abort();
  EXPECT_TRUE(
      Shows("aib_gateway_requests_total{method=\"POST\",route=\"/v1/chat\",status=\"4xx\"} 1"));
  EXPECT_EQ(inner_->answer().Header("x-request-id"), "req_1");
}

TEST_F(ObservedExchangeTest, WhoeverWaitsForNoneWaitsForTheLast) {
  auto exchange = Observe();
  std::thread other([moved = std::move(exchange)]() mutable { moved.reset(); });
  live_.WaitForNone();
  EXPECT_TRUE(Shows("aib_gateway_requests_in_flight{method=\"POST\",route=\"/v1/chat\"} 0"));
  other.join();
}

}  // namespace
}  // namespace aibackend::gateway
