// Spans as OTLP's message.
#pragma once

#include <deque>
#include <string>

#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"
#include "proto/otlp/span.h"

namespace aibackend::otlp {

opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest ExportRequestOf(
    const std::string& service_name, const std::string& service_version,
    std::deque<SpanData> spans);

}  // namespace aibackend::otlp
