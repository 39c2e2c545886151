#include "proto/otlp/tracer.h"

namespace aibackend::otlp {

Span& Span::operator=(Span&& other) noexcept {
  if (this == &other) return *this;
  End();
  context_ = other.context_;
  data_ = std::move(other.data_);
  sink_ = other.sink_;
  now_ = other.now_;
  return *this;
}

void Span::Rename(std::string name) {
  if (data_) data_->name = std::move(name);
}

void Span::Set(absl::string_view name, AttributeValue value) {
  if (data_) data_->attributes.emplace_back(name, std::move(value));
}

void Span::SetText(absl::string_view name, absl::string_view value) {
  if (data_) data_->attributes.emplace_back(name, std::string(value));
}

void Span::Fail(absl::string_view why) {
  if (!data_) return;
  data_->is_error = true;
  data_->error = std::string(why);
}

void Span::End() {
  if (!data_) return;
  data_->end = (*now_)();
  sink_->Take(std::move(*data_));
  data_.reset();
}

Tracer::Tracer(SpanSink* sink, double ratio, std::function<absl::Time()> now)
    : sink_(sink), ratio_(ratio), now_(std::move(now)) {}

Span Tracer::Start(absl::string_view name, const TraceContext& parent, SpanKind kind) const {
  Span span;
  if (sink_ == nullptr) {
    span.context_ = parent;
    return span;
  }
  if (parent.is_valid()) {
    span.context_ = ChildOf(parent);
  } else {
    span.context_ = NewTrace();
    if (IsInShare(span.context_.trace_id, ratio_)) span.context_.flags |= kSampledFlag;
  }
  if (!span.context_.is_sampled()) return span;
  span.data_ = std::make_unique<SpanData>();
  span.data_->context = span.context_;
  span.data_->parent = parent.span_id;
  span.data_->name = std::string(name);
  span.data_->kind = kind;
  span.data_->start = now_();
  span.sink_ = sink_;
  span.now_ = &now_;
  return span;
}

Span Tracer::Start(absl::string_view name, absl::string_view traceparent, SpanKind kind) const {
  return Start(name, ParseTraceparent(traceparent).value_or(TraceContext()), kind);
}

}  // namespace aibackend::otlp
