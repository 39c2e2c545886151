// The server's spans: one of each RPC, and one of each call of a model server. Names and attributes
// are OpenTelemetry's conventions (opentelemetry.io/docs/specs/semconv), with gen_ai.system beside
// gen_ai.provider.name for collectors that know the older name alone.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "proto/otlp/tracer.h"

namespace aibackend::otlp {
class SpanExporter;
}

namespace aibackend::telemetry {

using otlp::Span;
using otlp::SpanKind;
using otlp::TraceContext;

// Thread-safe. Outlives its spans.
class Tracer {
 public:
  struct Options {
    std::string otlp_endpoint;  // empty: nothing is exported
    std::string version;        // of this program
    double sample = 1;          // of the traces that begin here, 0 to 1
  };
  // Fails on an endpoint that can be none; one that doesn't answer is no failure.
  static absl::StatusOr<std::unique_ptr<Tracer>> Start(const Options& options);
  // Spans go to `sink`, which outlives it; null: nowhere.
  Tracer(otlp::SpanSink* sink, double sample);
  ~Tracer();

  // `traceparent` as the call's metadata has it; empty, or unreadable: the trace begins here.
  Span StartRpc(absl::string_view rpc, absl::string_view traceparent,
                absl::string_view request_id) const;
  static void EndRpc(Span& span, const absl::Status& status);

  struct ModelCall {
    absl::string_view operation = "chat";  // or "embeddings"
    absl::string_view model;               // as the upstream is asked for it
    absl::string_view provider;            // ModelInfo::provider
  };
  struct ModelCallEnd {
    absl::Status status;
    absl::optional<int64_t> input_tokens;
    absl::optional<int64_t> output_tokens;
    std::string finish_reason;  // empty: none was told
  };
  // Its Traceparent() is the header that the model server gets.
  Span StartModelCall(const ModelCall& call, const TraceContext& parent) const;
  static void EndModelCall(Span& span, const ModelCallEnd& end);

  // Spans that were lost, for Metrics::Readings.
  int64_t dropped() const { return static_cast<int64_t>(tracer_.dropped()); }

 private:
  Tracer(std::unique_ptr<otlp::SpanExporter> exporter, double sample);

  const std::unique_ptr<otlp::SpanExporter> exporter_;
  const otlp::Tracer tracer_;
};

}  // namespace aibackend::telemetry
