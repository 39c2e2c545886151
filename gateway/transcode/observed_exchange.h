// An Exchange that counts, logs and traces what passes: one line, one count and one span for each
// request, whoever answers it and however it ends. It also puts x-request-id on every answer.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "gateway/http/edge.h"
#include "gateway/transcode/live_count.h"
#include "gateway/transcode/metrics.h"
#include "proto/otlp/tracer.h"

namespace aibackend::gateway {

class ObservedExchange final : public Exchange {
 public:
  // `metrics`, `live` and `tracer` must outlive it.
  ObservedExchange(std::shared_ptr<Exchange> inner, std::string request_id,
                   const RouteMetrics& metrics, LiveCount& live, const otlp::Tracer& tracer);
  // An exchange dropped unanswered is observed as what the edge makes of it: 500.
  ~ObservedExchange() override;

  const httplib::Request& request() const override { return inner_->request(); }
  // Its own span's.
  std::string traceparent() const override { return span_.Traceparent(); }
  void Respond(int status, HeaderList headers, std::string body) override;
  void Begin(int status, HeaderList headers) override;
  bool Write(std::string data) override;
  void End() override;
  void Abort() override;
  size_t pending_bytes() const override { return inner_->pending_bytes(); }
  void WhenPendingAtMost(size_t bytes, std::function<void()> callback) override;
  void WhenClientGone(std::function<void()> callback) override;
  bool client_gone() const override { return inner_->client_gone(); }
  void After(absl::Duration delay, std::function<void()> callback) override;

 private:
  void BeginSpan();
  void EndSpan();
  // Once: the first of the endings counts.
  void Observe(const char* ending);

  std::shared_ptr<Exchange> inner_;
  const std::string request_id_;
  const RouteMetrics& metrics_;
  LiveCount& live_;
  const absl::Time started_;
  otlp::Span span_;
  int status_ = 0;    // 0 until answered
  size_t bytes_ = 0;  // of bodies
  std::atomic<bool> observed_ = false;
};

}  // namespace aibackend::gateway
