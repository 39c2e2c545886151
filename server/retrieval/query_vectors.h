// The vectors of queries, of embedders outside.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/retrieval/watched_embedder.h"

namespace aibackend::retrieval {

// Thread-safe. Keeps the vectors used last in memory: what people ask repeats, and is no document.
class QueryVectors {
 public:
  static constexpr size_t kKeptMax = 1024;  // 12 MiB of 3,072 dimensions

  QueryVectors(absl::Duration timeout, int waiting_max)
      : timeout_(timeout), waiting_max_(waiting_max) {}

  // The vector, of length 1. Waits for the embedder at most the timeout; a text that is being
  // embedded for another caller is waited for. Errors: the embedder's; OVERLOADED at once, where
  // it has just failed, or as many callers wait as may. `trace` as TextEmbedder's.
  using Vector = std::shared_ptr<const std::vector<float>>;
  absl::StatusOr<Vector> Get(WatchedEmbedder& embedder, const std::string& text,
                             const telemetry::TraceContext& trace);

 private:
  struct Kept {
    std::string hash;
    Vector vector;
  };

  Vector Find(const std::string& hash) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Keep(const std::string& hash, Vector vector) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const absl::Duration timeout_;
  const int waiting_max_;
  absl::Mutex mutex_;
  int waiting_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_set<std::string> asking_ ABSL_GUARDED_BY(mutex_);
  std::list<Kept> kept_ ABSL_GUARDED_BY(mutex_);  // the one used last first
  absl::flat_hash_map<std::string, std::list<Kept>::iterator> by_hash_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace aibackend::retrieval
