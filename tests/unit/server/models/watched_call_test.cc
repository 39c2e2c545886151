#include "server/models/watched_call.h"

#include <sstream>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "prometheus/text_serializer.h"
#include "server/base/status.h"
#include "tests/unit/fake_clock.h"

namespace aibackend::models {
namespace {

class Spans final : public otlp::SpanSink {
 public:
  void Take(otlp::SpanData span) override { taken.push_back(std::move(span)); }
  uint64_t dropped() const override { return 0; }
  std::vector<otlp::SpanData> taken;
};

class Keeper final : public GenerateSink {
 public:
  void OnDelta(const Delta& delta) override { text.append(delta.text.data(), delta.text.size()); }
  void OnDone(GenerateResult r) override { result = std::move(r); }
  std::string text;
  absl::optional<GenerateResult> result;
};

telemetry::Metrics::Options Known() {
  telemetry::Metrics::Options options;
  options.models = {{"m", "openai", telemetry::Operation::kChat}};
  return options;
}

class WatchedCallTest : public testing::Test {
 protected:
  std::shared_ptr<GenerateSink> Begin() {
    return Watch({&tracer_, &metrics_, &clock_}, request_, "m", "gpt-x", "openai", http_, keeper_);
  }
  bool Counted(absl::string_view series) const {
    std::ostringstream out;
    for (const auto& collectable : metrics_.collectables())
      prometheus::TextSerializer().Serialize(out, collectable->Collect());
    return absl::StrContains(out.str(), series);
  }

  FakeClock clock_;
  Spans spans_;
  telemetry::Tracer tracer_{&spans_, 1};
  telemetry::Metrics metrics_{Known()};
  GenerateRequest request_;
  net::HttpRequest http_;
  std::shared_ptr<Keeper> keeper_ = std::make_shared<Keeper>();
};

constexpr char kLabels[] =
    "gen_ai_operation_name=\"chat\",gen_ai_provider_name=\"openai\",gen_ai_request_model=\"m\"";

TEST_F(WatchedCallTest, ACallIsASpanThatItsUpstreamIsToldOf) {
  request_.trace =
      *otlp::ParseTraceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  const auto sink = Begin();
  sink->OnDelta(Delta("hi"));
  clock_.Advance(absl::Seconds(3));
  GenerateResult result;
  result.finish_reason = "stop";
  result.usage.prompt_tokens = 12;
  result.usage.completion_tokens = 5;
  sink->OnDone(result);

  EXPECT_EQ(keeper_->text, "hi");
  ASSERT_TRUE(keeper_->result);
  EXPECT_EQ(keeper_->result->finish_reason, "stop");
  ASSERT_EQ(spans_.taken.size(), 1u);
  EXPECT_EQ(spans_.taken[0].name, "chat gpt-x");
  EXPECT_EQ(spans_.taken[0].parent, request_.trace.span_id);
  ASSERT_EQ(http_.headers.size(), 1u);
  EXPECT_EQ(http_.headers[0].first, "traceparent");
  EXPECT_EQ(http_.headers[0].second, otlp::FormatTraceparent(spans_.taken[0].context));
  EXPECT_TRUE(
      Counted(absl::StrCat("gen_ai_client_operation_duration_seconds_sum{", kLabels, "} 3\n")));
  EXPECT_TRUE(Counted(absl::StrCat("gen_ai_client_token_usage_sum{", kLabels,
                                   ",gen_ai_token_type=\"input\"} 12\n")));
}

TEST_F(WatchedCallTest, ARefusedCallIsMeasuredAndUsedNoTokens) {
  const auto sink = Begin();
  GenerateResult result;
  result.status = MakeError(Reason::UPSTREAM_RATE_LIMITED, "x");
  sink->OnDone(result);
  EXPECT_EQ(spans_.taken.at(0).error, "UPSTREAM_RATE_LIMITED");
  EXPECT_TRUE(
      Counted(absl::StrCat("gen_ai_client_operation_duration_seconds_count{", kLabels, "} 1\n")));
  EXPECT_TRUE(Counted(absl::StrCat("gen_ai_client_token_usage_count{", kLabels,
                                   ",gen_ai_token_type=\"input\"} 0\n")));
}

TEST_F(WatchedCallTest, WithoutAWatchTheSinkIsTheCallersOwn) {
  EXPECT_EQ(Watch({}, request_, "m", "gpt-x", "openai", http_, keeper_), keeper_);
  EXPECT_TRUE(http_.headers.empty());
}

}  // namespace
}  // namespace aibackend::models
