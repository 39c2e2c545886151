#include "server/telemetry/tracer.h"

#include <map>
#include <vector>

#include "gtest/gtest.h"
#include "server/base/status.h"

namespace aibackend::telemetry {
namespace {

constexpr char kParent[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

class Spans final : public otlp::SpanSink {
 public:
  void Take(otlp::SpanData span) override { taken.push_back(std::move(span)); }
  uint64_t dropped() const override { return 3; }
  std::vector<otlp::SpanData> taken;
};

std::map<std::string, otlp::AttributeValue> AttributesOf(const otlp::SpanData& span) {
  std::map<std::string, otlp::AttributeValue> attributes;
  for (const auto& [name, value] : span.attributes)
    EXPECT_TRUE(attributes.emplace(std::string(name), value).second) << name;  // each once
  return attributes;
}

std::string Text(const otlp::AttributeValue& value) {
  return std::get<std::string>(value);
}

class TracerTest : public testing::Test {
 protected:
  Spans spans_;
  Tracer tracer_{&spans_, 1};
};

TEST_F(TracerTest, AnRpcAndItsModelCallStandInTheCallersTrace) {
  Span rpc = tracer_.StartRpc("Chat", kParent, "req_1");
  Span call = tracer_.StartModelCall({"chat", "gpt-x", "openai"}, rpc.context());
  EXPECT_EQ(otlp::ParseTraceparent(call.Traceparent())->TraceIdHex(),
            "4bf92f3577b34da6a3ce929d0e0e4736");
  Tracer::EndModelCall(call, {absl::OkStatus(), 12, 34, "stop"});
  Tracer::EndRpc(rpc, absl::OkStatus());

  ASSERT_EQ(spans_.taken.size(), 2u);
  const otlp::SpanData& client = spans_.taken[0];
  const otlp::SpanData& server = spans_.taken[1];
  EXPECT_EQ(client.name, "chat gpt-x");
  EXPECT_EQ(client.kind, SpanKind::kClient);
  EXPECT_EQ(client.parent, server.context.span_id);
  auto attributes = AttributesOf(client);
  EXPECT_EQ(Text(attributes["gen_ai.operation.name"]), "chat");
  EXPECT_EQ(Text(attributes["gen_ai.request.model"]), "gpt-x");
  EXPECT_EQ(Text(attributes["gen_ai.provider.name"]), "openai");
  EXPECT_EQ(Text(attributes["gen_ai.system"]), "openai");
  EXPECT_EQ(std::get<int64_t>(attributes["gen_ai.usage.input_tokens"]), 12);
  EXPECT_EQ(std::get<int64_t>(attributes["gen_ai.usage.output_tokens"]), 34);
  EXPECT_EQ(std::get<std::vector<std::string>>(attributes["gen_ai.response.finish_reasons"]),
            std::vector<std::string>{"stop"});
  EXPECT_FALSE(client.is_error);

  EXPECT_EQ(server.name, "Chat");
  EXPECT_EQ(server.kind, SpanKind::kServer);
  attributes = AttributesOf(server);
  EXPECT_EQ(Text(attributes["rpc.system"]), "grpc");
  EXPECT_EQ(Text(attributes["rpc.method"]), "Chat");
  EXPECT_EQ(Text(attributes["aibackend.request_id"]), "req_1");
  EXPECT_EQ(std::get<int64_t>(attributes["rpc.grpc.status_code"]), 0);
}

TEST_F(TracerTest, AFailureHasItsReasonAndIsAnErrorWhereItIsOurs) {
  Span ours = tracer_.StartRpc("Chat", "", "req_1");
  Tracer::EndRpc(ours, MakeError(Reason::UPSTREAM_TIMEOUT, "a secret"));
  Span theirs = tracer_.StartRpc("Chat", "", "req_2");
  Tracer::EndRpc(theirs, MakeError(Reason::FIELD_INVALID, "a secret"));
  Span call = tracer_.StartModelCall({"chat", "m", "openai"}, {});
  Tracer::EndModelCall(call, {MakeError(Reason::UPSTREAM_RATE_LIMITED, "a secret"), {}, {}, ""});
  ASSERT_EQ(spans_.taken.size(), 3u);
  EXPECT_TRUE(spans_.taken[0].is_error);
  EXPECT_EQ(spans_.taken[0].error, "UPSTREAM_TIMEOUT");
  EXPECT_FALSE(spans_.taken[1].is_error);
  EXPECT_EQ(Text(AttributesOf(spans_.taken[1])["error.type"]), "FIELD_INVALID");
  EXPECT_EQ(spans_.taken[2].error, "UPSTREAM_RATE_LIMITED");
  EXPECT_EQ(AttributesOf(spans_.taken[2]).count("gen_ai.usage.input_tokens"), 0u);
}

TEST_F(TracerTest, WithoutACollectorNothingIsMade) {
  const auto off = Tracer::Start({});
  ASSERT_TRUE(off.ok());
  Span span = (*off)->StartRpc("Chat", "", "req_1");
  EXPECT_FALSE(span.is_recording());
  EXPECT_EQ(span.Traceparent(), "");
  Tracer::EndRpc(span, absl::OkStatus());
  EXPECT_EQ((*off)->dropped(), 0);
  EXPECT_EQ(tracer_.dropped(), 3);
  EXPECT_FALSE(Tracer::Start({"no endpoint", "0.1.0", 1}).ok());
}

}  // namespace
}  // namespace aibackend::telemetry
