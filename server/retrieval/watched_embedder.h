// An embedder whose failures are remembered, so that those who could do without don't wait for it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/base/clock.h"
#include "server/base/status.h"
#include "server/retrieval/text_embedder.h"

namespace aibackend::retrieval {

// Thread-safe.
class WatchedEmbedder final : public TextEmbedder {
 public:
  // How long it is left alone after a failure: short, as an embedder that is well again should be
  // used soon, and long beside a timeout's part of it.
  static constexpr absl::Duration kAwayFor = absl::Seconds(1);

  // Both outlive it.
  WatchedEmbedder(TextEmbedder& inner, Clock& clock) : inner_(inner), clock_(clock) {}

  const std::string& name() const override { return inner_.name(); }
  const std::string& key() const override { return inner_.key(); }

  absl::Status Embed(const std::vector<std::string>& texts, absl::Time deadline,
                     const telemetry::TraceContext& trace, OnVectors on_vectors) override {
    absl::Status status = inner_.Embed(texts, deadline, trace, on_vectors);
    if (status.ok() || MeansAway(status)) {
      absl::MutexLock lock(&mutex_);
      if (!status.ok()) ++failures_;
      away_until_ = status.ok() ? absl::InfinitePast() : clock_.Now() + kAwayFor;
    }
    return status;
  }

  // It has just failed.
  bool IsAway() const {
    absl::MutexLock lock(&mutex_);
    return clock_.Now() < away_until_;
  }

  // Counts up with each.
  uint64_t failures() const {
    absl::MutexLock lock(&mutex_);
    return failures_;
  }

  // Whether an embedder failed, and not who asked it.
  static bool IsEmbedders(const absl::Status& status) {
    switch (ReasonOf(status)) {
      case Reason::OVERLOADED:
      case Reason::UPSTREAM_UNAVAILABLE:
      case Reason::UPSTREAM_TIMEOUT:
      case Reason::UPSTREAM_RATE_LIMITED:
      case Reason::UPSTREAM_REFUSED_CREDENTIALS:
      case Reason::UPSTREAM_REJECTED_REQUEST:
      case Reason::UPSTREAM_BAD_RESPONSE:
      case Reason::UPSTREAM_TRUNCATED:
        return true;
      default:
        return false;
    }
  }

 private:
  // Another text may fare better after a rejected one.
  static bool MeansAway(const absl::Status& status) {
    return IsEmbedders(status) && ReasonOf(status) != Reason::UPSTREAM_REJECTED_REQUEST;
  }

  TextEmbedder& inner_;
  Clock& clock_;
  mutable absl::Mutex mutex_;
  absl::Time away_until_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  uint64_t failures_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace aibackend::retrieval
