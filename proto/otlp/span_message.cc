#include "proto/otlp/span_message.h"

#include <utility>

namespace aibackend::otlp {
namespace {

namespace common = opentelemetry::proto::common::v1;
namespace trace = opentelemetry::proto::trace::v1;

constexpr char kScopeName[] = "aibackend";

template <size_t size>
std::string BytesOf(const std::array<uint8_t, size>& id) {
  return std::string(reinterpret_cast<const char*>(id.data()), id.size());
}

struct ValueWriter {
  common::AnyValue& value;
  void operator()(std::string& text) const { value.set_string_value(std::move(text)); }
  void operator()(int64_t number) const { value.set_int_value(number); }
  void operator()(double number) const { value.set_double_value(number); }
  void operator()(bool truth) const { value.set_bool_value(truth); }
  void operator()(std::vector<std::string>& texts) const {
    common::ArrayValue& array = *value.mutable_array_value();
    for (std::string& text : texts) array.add_values()->set_string_value(std::move(text));
  }
};

trace::Span::SpanKind KindOf(SpanKind kind) {
  switch (kind) {
    case SpanKind::kInternal:
      return trace::Span::SPAN_KIND_INTERNAL;
    case SpanKind::kServer:
      return trace::Span::SPAN_KIND_SERVER;
    case SpanKind::kClient:
      return trace::Span::SPAN_KIND_CLIENT;
  }
  return trace::Span::SPAN_KIND_UNSPECIFIED;
}

void Fill(SpanData& from, trace::Span& to) {
  to.set_trace_id(BytesOf(from.context.trace_id));
  to.set_span_id(BytesOf(from.context.span_id));
  if (from.parent != SpanId{}) to.set_parent_span_id(BytesOf(from.parent));
  to.set_flags(from.context.flags);
  to.set_name(std::move(from.name));
  to.set_kind(KindOf(from.kind));
  to.set_start_time_unix_nano(static_cast<uint64_t>(absl::ToUnixNanos(from.start)));
  to.set_end_time_unix_nano(static_cast<uint64_t>(absl::ToUnixNanos(from.end)));
  for (auto& [key, value] : from.attributes) {
    common::KeyValue& attribute = *to.add_attributes();
    attribute.set_key(std::string(key));
    std::visit(ValueWriter{*attribute.mutable_value()}, value);
  }
  if (!from.is_error) return;
  to.mutable_status()->set_code(trace::Status::STATUS_CODE_ERROR);
  to.mutable_status()->set_message(std::move(from.error));
}

}  // namespace

opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest ExportRequestOf(
    const std::string& service_name, const std::string& service_version,
    std::deque<SpanData> spans) {
  opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest request;
  trace::ResourceSpans& resource_spans = *request.add_resource_spans();
  for (const auto& [key, text] :
       {std::pair{"service.name", &service_name}, std::pair{"service.version", &service_version}}) {
    common::KeyValue& attribute = *resource_spans.mutable_resource()->add_attributes();
    attribute.set_key(key);
    attribute.mutable_value()->set_string_value(*text);
  }
  trace::ScopeSpans& scope_spans = *resource_spans.add_scope_spans();
  scope_spans.mutable_scope()->set_name(kScopeName);
  scope_spans.mutable_scope()->set_version(service_version);
  for (SpanData& span : spans) Fill(span, *scope_spans.add_spans());
  return request;
}

}  // namespace aibackend::otlp
