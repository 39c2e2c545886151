#include "proto/otlp/tracer.h"

#include <gtest/gtest.h>

#include <vector>

namespace aibackend::otlp {
namespace {

constexpr char kSampled[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
constexpr char kNotSampled[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

class Spans final : public SpanSink {
 public:
  void Take(SpanData span) override { taken.push_back(std::move(span)); }
  uint64_t dropped() const override { return 7; }
  std::vector<SpanData> taken;
};

class TracerTest : public testing::Test {
 protected:
  Tracer Make(double ratio) {
    return Tracer(&spans_, ratio, [this] { return now_; });
  }

  absl::Time now_ = absl::FromUnixSeconds(1'000);
  Spans spans_;
};

TEST_F(TracerTest, ASpanIsTakenOnceWithWhatItWasTold) {
  const Tracer tracer = Make(1);
  Span span = tracer.Start("POST /v1/chat", "", SpanKind::kServer);
  EXPECT_TRUE(span.is_recording());
  span.SetText("http.route", "/v1/chat");
  span.SetInt("http.response.status_code", 503);
  span.Fail("DRAINING");
  now_ += absl::Seconds(2);
  span.End();
  span.End();
  ASSERT_EQ(spans_.taken.size(), 1u);
  const SpanData& taken = spans_.taken[0];
  EXPECT_EQ(taken.name, "POST /v1/chat");
  EXPECT_EQ(taken.kind, SpanKind::kServer);
  EXPECT_EQ(taken.parent, SpanId{});
  EXPECT_EQ(taken.end - taken.start, absl::Seconds(2));
  ASSERT_EQ(taken.attributes.size(), 2u);
  EXPECT_EQ(std::get<int64_t>(taken.attributes[1].second), 503);
  EXPECT_TRUE(taken.is_error);
  EXPECT_EQ(taken.error, "DRAINING");
  EXPECT_EQ(tracer.dropped(), 7u);
}

TEST_F(TracerTest, ASpanThatIsDroppedOrMovedOverHasEnded) {
  const Tracer tracer = Make(1);
  {
    Span span = tracer.Start("a", "", SpanKind::kInternal);
    Span moved = std::move(span);
    EXPECT_TRUE(spans_.taken.empty());
    moved = tracer.Start("b", "", SpanKind::kInternal);
    ASSERT_EQ(spans_.taken.size(), 1u);
    EXPECT_EQ(spans_.taken[0].name, "a");
  }
  ASSERT_EQ(spans_.taken.size(), 2u);
}

TEST_F(TracerTest, AChildNamesItsParentAndTheNextHopNamesTheChild) {
  const Tracer tracer = Make(0);  // the caller says
  const TraceContext caller = *ParseTraceparent(kSampled);
  Span server = tracer.Start("Chat", kSampled, SpanKind::kServer);
  Span client = tracer.Start("chat m", server.context(), SpanKind::kClient);
  EXPECT_EQ(client.Traceparent().substr(0, 36), std::string(kSampled).substr(0, 36));
  client.End();
  server.End();
  ASSERT_EQ(spans_.taken.size(), 2u);
  EXPECT_EQ(spans_.taken[0].parent, spans_.taken[1].context.span_id);
  EXPECT_EQ(spans_.taken[1].parent, caller.span_id);
  EXPECT_EQ(ParseTraceparent(client.Traceparent())->span_id, spans_.taken[0].context.span_id);
}

TEST_F(TracerTest, ATraceThatTheCallerDoesNotSampleGoesOnUnrecorded) {
  const Tracer tracer = Make(1);
  Span span = tracer.Start("Chat", kNotSampled, SpanKind::kServer);
  EXPECT_FALSE(span.is_recording());
  const auto next = ParseTraceparent(span.Traceparent());
  ASSERT_TRUE(next);
  EXPECT_EQ(next->trace_id, ParseTraceparent(kNotSampled)->trace_id);
  EXPECT_NE(next->span_id, ParseTraceparent(kNotSampled)->span_id);
  EXPECT_FALSE(next->is_sampled());
  span.End();
  EXPECT_TRUE(spans_.taken.empty());
}

TEST_F(TracerTest, OfWhatBeginsHereAShareIsRecorded) {
  EXPECT_TRUE(Make(1).Start("a", "no traceparent", SpanKind::kServer).is_recording());
  const Tracer none = Make(0);
  const Span span = none.Start("a", "", SpanKind::kServer);
  EXPECT_FALSE(span.is_recording());
  EXPECT_TRUE(span.context().is_valid());
  EXPECT_FALSE(span.context().is_sampled());
}

TEST_F(TracerTest, WithoutASinkOnlyWhatACallerBeganGoesOn) {
  const Tracer tracer(nullptr, 1);
  EXPECT_EQ(tracer.Start("a", "", SpanKind::kServer).Traceparent(), "");
  EXPECT_EQ(tracer.Start("a", "00-1", SpanKind::kServer).Traceparent(), "");
  Span span = tracer.Start("a", kSampled, SpanKind::kServer);
  EXPECT_FALSE(span.is_recording());
  EXPECT_EQ(span.Traceparent(), kSampled);  // no span between that a collector would miss
  EXPECT_EQ(tracer.Start("b", span.context(), SpanKind::kClient).Traceparent(), kSampled);
  EXPECT_EQ(tracer.dropped(), 0u);
}

}  // namespace
}  // namespace aibackend::otlp
