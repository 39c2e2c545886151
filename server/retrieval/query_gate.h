// Queries that come together go over the rows together, and none waits for company.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/retrieval/top_rows.h"

namespace aibackend::retrieval {

// A search that finds a free lane runs at once, in its caller's thread. While all lanes are busy
// searches queue, in order; a lane that comes free goes to the first that waits, which takes all
// that wait behind it (up to `batch_max` in all) into its batch. So a batch is what queued while
// another ran: there is no timer, and a lone query pays for a lock only. A caller runs at most one
// batch, its own query in it, and returns when its own result is there.
//
// Thread-safe. What the scan reads must stay unchanged while any caller is inside Search(): each
// caller holds a reader's lock on it, so the one that runs the batch holds one for all. Must
// outlive its callers.
class QueryGate {
 public:
  // Answers results[i] to queries[i]; runs in callers' threads, `lanes` of them side by side. Does
  // not throw.
  using Scan = std::function<void(const VectorQuery* queries, size_t count, TopRows* results)>;

  // Both at least 1. More lanes than cores only make batches smaller.
  QueryGate(Scan scan, size_t batch_max, size_t lanes);

  TopRows Search(const VectorQuery& query);

  // Searches that wait for a lane now.
  size_t waiting() const;

 private:
  struct Waiter;

  // The batch that `first` leads: it and those that wait behind it.
  std::vector<Waiter*> TakeBatch(Waiter& first) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Run(const std::vector<Waiter*>& batch) const;
  void HandOver(const std::vector<Waiter*>& done) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Scan scan_;
  const size_t batch_max_;

  mutable absl::Mutex mutex_;
  size_t free_lanes_ ABSL_GUARDED_BY(mutex_);
  std::deque<Waiter*> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace aibackend::retrieval
