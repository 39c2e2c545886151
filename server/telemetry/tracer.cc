#include "server/telemetry/tracer.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/otlp/span_exporter.h"
#include "server/base/status.h"

namespace aibackend::telemetry {
namespace {

// The codes that are a failure of the server's, by the conventions for gRPC; others may be the
// caller's own doing.
bool IsOurs(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDataLoss:
      return true;
    default:
      return false;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tracer>> Tracer::Start(const Options& options) {
  if (options.otlp_endpoint.empty()) return std::make_unique<Tracer>(nullptr, options.sample);
  otlp::ExporterOptions exporter_options;
  exporter_options.endpoint = options.otlp_endpoint;
  exporter_options.service_name = "aibackend-server";
  exporter_options.service_version = options.version;
  AIB_ASSIGN_OR_RETURN(auto exporter, otlp::SpanExporter::Start(std::move(exporter_options)));
  return std::unique_ptr<Tracer>(new Tracer(std::move(exporter), options.sample));
}

Tracer::Tracer(otlp::SpanSink* sink, double sample) : tracer_(sink, sample) {}

Tracer::Tracer(std::unique_ptr<otlp::SpanExporter> exporter, double sample)
    : exporter_(std::move(exporter)), tracer_(exporter_.get(), sample) {}

Tracer::~Tracer() = default;

Span Tracer::StartRpc(absl::string_view rpc, absl::string_view traceparent,
                      absl::string_view request_id) const {
  Span span = tracer_.Start(rpc, traceparent, SpanKind::kServer);
  span.SetText("rpc.system", "grpc");
  span.SetText("rpc.method", rpc);
  span.SetText("aibackend.request_id", request_id);
  return span;
}

void Tracer::EndRpc(Span& span, const absl::Status& status) {
  if (!span.is_recording()) return;
  span.SetInt("rpc.grpc.status_code", static_cast<int>(status.code()));
  if (!status.ok()) {
    const std::string& reason = ReasonName(ReasonOf(status));
    span.SetText("error.type", reason);
    if (IsOurs(status.code())) span.Fail(reason);
  }
  span.End();
}

Span Tracer::StartModelCall(const ModelCall& call, const TraceContext& parent) const {
  Span span = tracer_.Start(call.operation, parent, SpanKind::kClient);
  if (!span.is_recording()) return span;
  span.Rename(absl::StrCat(call.operation, " ", call.model));
  span.SetText("gen_ai.operation.name", call.operation);
  span.SetText("gen_ai.request.model", call.model);
  span.SetText("gen_ai.provider.name", call.provider);
  span.SetText("gen_ai.system", call.provider);
  return span;
}

void Tracer::EndModelCall(Span& span, const ModelCallEnd& end) {
  if (!span.is_recording()) return;
  if (end.input_tokens) span.SetInt("gen_ai.usage.input_tokens", *end.input_tokens);
  if (end.output_tokens) span.SetInt("gen_ai.usage.output_tokens", *end.output_tokens);
  if (!end.finish_reason.empty())
    span.Set("gen_ai.response.finish_reasons", std::vector<std::string>{end.finish_reason});
  if (!end.status.ok()) {
    const std::string& reason = ReasonName(ReasonOf(end.status));
    span.SetText("error.type", reason);
    span.Fail(reason);
  }
  span.End();
}

}  // namespace aibackend::telemetry
