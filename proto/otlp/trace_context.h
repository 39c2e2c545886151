// W3C Trace Context (www.w3.org/TR/trace-context-2): where a piece of work stands in a trace.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace aibackend::otlp {

using TraceId = std::array<uint8_t, 16>;
using SpanId = std::array<uint8_t, 8>;

// The trace flags that this version knows; others are neither kept nor sent.
inline constexpr uint8_t kSampledFlag = 0x01;
inline constexpr uint8_t kRandomFlag = 0x02;  // the trace id's last seven bytes are random

// A default one is none: its ids are zero, which no trace's are.
struct TraceContext {
  TraceId trace_id{};
  SpanId span_id{};
  uint8_t flags = 0;

  bool is_valid() const { return trace_id != TraceId{}; }
  bool is_sampled() const { return (flags & kSampledFlag) != 0; }
  // 32 hex digits; empty where there is none.
  std::string TraceIdHex() const;
};

// What a `traceparent` says; absent: it must be ignored, and the trace begins here. Of a version
// after 00 the ids and the sampled flag are taken, whatever follows them.
absl::optional<TraceContext> ParseTraceparent(absl::string_view text);

// As version 00; empty where there is none.
std::string FormatTraceparent(const TraceContext& context);

// Ids are random, and no secrets. Thread-safe.
TraceContext NewTrace();  // not sampled
TraceContext ChildOf(const TraceContext& parent);

// Whether a trace is among the share `ratio` (0 to 1) of all. The id alone decides, so that every
// process decides alike.
bool IsInShare(const TraceId& id, double ratio);

}  // namespace aibackend::otlp
