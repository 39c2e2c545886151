// A span: one piece of work, with its place in a trace.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "proto/otlp/trace_context.h"

namespace aibackend::otlp {

enum class SpanKind : uint8_t { kInternal, kServer, kClient };

using AttributeValue = std::variant<std::string, int64_t, double, bool, std::vector<std::string>>;

// A span that has ended.
struct SpanData {
  TraceContext context;
  SpanId parent{};  // zero: the first of its trace
  std::string name;
  SpanKind kind = SpanKind::kInternal;
  absl::Time start;
  absl::Time end;
  std::vector<std::pair<absl::string_view, AttributeValue>> attributes;  // names are literals
  bool is_error = false;
  std::string error;
};

// Where spans go.
class SpanSink {
 public:
  virtual ~SpanSink() = default;
  // Thread-safe, never blocks.
  virtual void Take(SpanData span) = 0;
  // How many were lost since the start. Thread-safe.
  virtual uint64_t dropped() const = 0;
};

}  // namespace aibackend::otlp
