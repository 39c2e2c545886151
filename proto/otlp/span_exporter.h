// Sends spans to a collector, over OTLP/gRPC (opentelemetry.io/docs/specs/otlp).
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "grpcpp/client_context.h"
#include "proto/otlp/span.h"

namespace aibackend::otlp {

// At most these wait to be sent, so that a collector that is away costs some ten megabytes and no
// more.
inline constexpr size_t kSpansQueuedMax = 8'192;

struct ExporterOptions {
  std::string endpoint;  // host:port, http://host:port, or with TLS https://host:port
  std::string service_name;
  std::string service_version;
  size_t queued_max = kSpansQueuedMax;
  size_t batch_max = 512;
  absl::Duration batch_wait = absl::Seconds(1);  // from a batch's first span, where it isn't full
  absl::Duration call_timeout = absl::Seconds(10);
  absl::Duration retry_first = absl::Seconds(1);  // then twice as long each time, to
  absl::Duration retry_max = absl::Seconds(30);
  absl::Duration flush_max = absl::Seconds(2);  // at the end
};

// OK if `endpoint` can be one.
absl::Status CheckEndpoint(absl::string_view endpoint);

// Thread-safe; one thread of its own sends.
//
// Spans go in order, in batches. One that a collector can't take for now (by OTLP's list of codes)
// is kept and sent again after a wait, its own or the one the collector names; while it waits new
// spans queue behind it. What doesn't fit, what a collector refuses, and what is left after the
// flush is dropped and counted. The first failure of a row is logged, and its end.
class SpanExporter final : public SpanSink {
 public:
  // Doesn't wait for the collector. Fails on an endpoint that can be none.
  static absl::StatusOr<std::unique_ptr<SpanExporter>> Start(ExporterOptions options);
  // Sends what is left, for as long as flush_max.
  ~SpanExporter() override;

  void Take(SpanData span) override;
  uint64_t dropped() const override { return dropped_.load(std::memory_order_relaxed); }

 private:
  class Collector;
  enum class Sent { kTaken, kRefused, kLater };

  explicit SpanExporter(ExporterOptions options);

  void Run();
  // Waits for the next batch; false: the end, and nothing is left to be sent.
  bool LoadBatch();
  // Until the collector has taken or refused the batch, or the end.
  void SendBatch();
  // Cut short by the end; false: it had come before.
  bool WaitForRetry(absl::Duration wait);
  Sent Call(absl::Duration* retry_after);
  void Drop(uint64_t spans) { dropped_.fetch_add(spans, std::memory_order_relaxed); }
  void Report(const grpc::Status& status);
  void Stop();

  const ExporterOptions options_;
  const std::unique_ptr<Collector> collector_;
  bool works_ = true;  // the sending thread's: the last call did

  std::atomic<uint64_t> dropped_ = 0;
  absl::Mutex mutex_;
  std::deque<SpanData> queue_ ABSL_GUARDED_BY(mutex_);
  size_t sending_ ABSL_GUARDED_BY(mutex_) = 0;  // spans of the batch in hand
  absl::Time oldest_ ABSL_GUARDED_BY(mutex_);   // when the queue got its first span
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Time stop_by_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::ClientContext* running_ ABSL_GUARDED_BY(mutex_) = nullptr;  // the call under way
  std::thread thread_;                                              // last: it uses all above
};

}  // namespace aibackend::otlp
