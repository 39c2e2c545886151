// Makes spans.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/types/optional.h"
#include "proto/otlp/span.h"

namespace aibackend::otlp {

// One piece of work under way. Ends at End, or when it is dropped. A default one is none: it has no
// place in a trace and records nothing.
//
// Not thread-safe: belongs to whoever does the work at the moment. Its sink must outlive it.
class Span {
 public:
  Span() = default;
  Span(Span&& other) noexcept = default;
  Span& operator=(Span&& other) noexcept;
  ~Span() { End(); }

  // Whose children carry on its trace; also of a span that records nothing.
  const TraceContext& context() const { return context_; }
  // What the next process is told; empty where there is no trace to carry on.
  std::string Traceparent() const { return FormatTraceparent(context_); }
  // False: what it is told is thrown away, so that costly words need not be made.
  bool is_recording() const { return data_ != nullptr; }

  // Of a span that was started before its name was known.
  void Rename(std::string name);
  // `name` is a literal, set once.
  void Set(absl::string_view name, AttributeValue value);
  void SetText(absl::string_view name, absl::string_view value);
  void SetInt(absl::string_view name, int64_t value) { Set(name, value); }
  // The work failed; `why` is a reason's name, no text of a caller.
  void Fail(absl::string_view why);
  // The first time only.
  void End();

 private:
  friend class Tracer;

  TraceContext context_;
  std::unique_ptr<SpanData> data_;
  SpanSink* sink_ = nullptr;
  const std::function<absl::Time()>* now_ = nullptr;
};

// Thread-safe. Outlives its spans.
class Tracer {
 public:
  // `sink` null: nothing is recorded. Else it outlives the tracer. `ratio`: of the traces that
  // begin here, the share that is recorded, 0 to 1; of those that a caller began, the caller says.
  Tracer(SpanSink* sink, double ratio, std::function<absl::Time()> now = absl::Now);

  // The child of `parent`, or where that is none the beginning of a trace. Without a sink `parent`
  // goes on as it is, as an id that nobody exports would cut the trace; and none begins here.
  Span Start(absl::string_view name, const TraceContext& parent, SpanKind kind) const;
  // The same, by what the caller's traceparent says; one that can't be read is none.
  Span Start(absl::string_view name, absl::string_view traceparent, SpanKind kind) const;

  // Spans that were lost.
  uint64_t dropped() const { return sink_ ? sink_->dropped() : 0; }

 private:
  SpanSink* const sink_;
  const double ratio_;
  const std::function<absl::Time()> now_;
};

}  // namespace aibackend::otlp
