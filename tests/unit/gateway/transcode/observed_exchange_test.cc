#include "gateway/transcode/observed_exchange.h"

#include <gtest/gtest.h>

#include <map>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/unit/gateway/fake_exchange.h"

namespace aibackend::gateway {
namespace {

class Spans final : public otlp::SpanSink {
 public:
  void Take(otlp::SpanData span) override { taken.push_back(std::move(span)); }
  uint64_t dropped() const override { return 0; }
  std::vector<otlp::SpanData> taken;
};

std::map<std::string, otlp::AttributeValue> AttributesOf(const otlp::SpanData& span) {
  return {span.attributes.begin(), span.attributes.end()};
}

class ObservedExchangeTest : public testing::Test {
 protected:
  std::shared_ptr<Exchange> Observe() {
    return std::make_shared<ObservedExchange>(inner_, "req_1", route_, live_, tracer_);
  }
  bool Shows(const std::string& line) {
    return metrics_.Text(EdgeStats(), 0).find(line + "\n") != std::string::npos;
  }

  Metrics metrics_;
  LiveCount live_;
  Spans spans_;
  otlp::Tracer tracer_{&spans_, 1};
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

constexpr char kTrace[] = "4bf92f3577b34da6a3ce929d0e0e4736";

TEST_F(ObservedExchangeTest, EachRequestIsOneSpanOfTheCallersTrace) {
  inner_->sent.method = "POST";
  inner_->sent.target = "/v1/chat?prompt=private";
  inner_->sent.headers = {{"Traceparent", absl::StrCat("00-", kTrace, "-00f067aa0ba902b7-01")}};
  auto exchange = Observe();
  const std::string forwarded = exchange->traceparent();
  exchange->Respond(503, {}, "x");
  exchange.reset();
  ASSERT_EQ(spans_.taken.size(), 1u);
  const otlp::SpanData& span = spans_.taken[0];
  EXPECT_EQ(span.name, "POST /v1/chat");
  EXPECT_EQ(span.kind, otlp::SpanKind::kServer);
  EXPECT_EQ(span.context.TraceIdHex(), kTrace);
  EXPECT_EQ(span.parent[1], 0xf0);
  EXPECT_EQ(otlp::FormatTraceparent(span.context), forwarded);
  EXPECT_TRUE(span.is_error);
  auto attributes = AttributesOf(span);
  EXPECT_EQ(std::get<std::string>(attributes["http.request.method"]), "POST");
  EXPECT_EQ(std::get<std::string>(attributes["http.route"]), "/v1/chat");
  EXPECT_EQ(std::get<std::string>(attributes["url.path"]), "/v1/chat");
  EXPECT_EQ(std::get<std::string>(attributes["aibackend.request_id"]), "req_1");
  EXPECT_EQ(std::get<std::string>(attributes["error.type"]), "503");
  EXPECT_EQ(std::get<int64_t>(attributes["http.response.status_code"]), 503);
}

TEST_F(ObservedExchangeTest, AClientsMistakeIsNoErrorAndNothingItMakesUpNamesASpan) {
  inner_->sent.method = "BREW";
  inner_->sent.target = "/private";
  // Two parents are none.
  inner_->sent.headers = {{"traceparent", absl::StrCat("00-", kTrace, "-00f067aa0ba902b7-01")},
                          {"traceparent", absl::StrCat("00-", kTrace, "-00f067aa0ba902b7-01")}};
  std::make_shared<ObservedExchange>(inner_, "req_1", metrics_.AddUnmatched(), live_, tracer_)
      ->Respond(404, {}, "x");
  ASSERT_EQ(spans_.taken.size(), 1u);
  EXPECT_EQ(spans_.taken[0].name, "_OTHER");
  EXPECT_NE(spans_.taken[0].context.TraceIdHex(), kTrace);
  EXPECT_EQ(spans_.taken[0].parent, otlp::SpanId{});
  EXPECT_FALSE(spans_.taken[0].is_error);
  const auto attributes = AttributesOf(spans_.taken[0]);
  EXPECT_EQ(attributes.count("http.route"), 0u);
  EXPECT_EQ(attributes.count("url.path"), 0u);
}

TEST_F(ObservedExchangeTest, WithoutACollectorTheCallersTraceGoesOn) {
  const otlp::Tracer off(nullptr, 1);
  const auto none = std::make_shared<ObservedExchange>(inner_, "req_1", route_, live_, off);
  EXPECT_EQ(none->traceparent(), "");
  const auto other = std::make_shared<FakeExchange>();
  const std::string callers = absl::StrCat("00-", kTrace, "-00f067aa0ba902b7-01");
  other->sent.headers = {{"traceparent", callers}};
  const auto some = std::make_shared<ObservedExchange>(other, "req_1", route_, live_, off);
  EXPECT_EQ(some->traceparent(), callers);
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
