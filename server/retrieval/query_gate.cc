#include "server/retrieval/query_gate.h"

#include <utility>

namespace aibackend::retrieval {

// On its caller's stack. `query` and `result` belong to whoever runs the batch until is_done.
struct QueryGate::Waiter {
  VectorQuery query;
  TopRows result;
  bool leads = false;    // a lane is its own; guarded by mutex_
  bool is_done = false;  // guarded by mutex_
  absl::CondVar changed;
};

QueryGate::QueryGate(Scan scan, size_t batch_max, size_t lanes)
    : scan_(std::move(scan)), batch_max_(batch_max), free_lanes_(lanes) {}

TopRows QueryGate::Search(const VectorQuery& query) {
  Waiter self;
  self.query = query;
  std::vector<Waiter*> batch;
  {
    absl::MutexLock lock(&mutex_);
    if (free_lanes_ > 0) {
      --free_lanes_;
    } else {
      waiting_.push_back(&self);
      while (!self.leads && !self.is_done) self.changed.Wait(&mutex_);
      if (self.is_done) return std::move(self.result);
    }
    batch = TakeBatch(self);
  }
  Run(batch);
  absl::MutexLock lock(&mutex_);
  HandOver(batch);
  return std::move(self.result);
}

std::vector<QueryGate::Waiter*> QueryGate::TakeBatch(Waiter& first) {
  std::vector<Waiter*> batch{&first};
  while (!waiting_.empty() && batch.size() < batch_max_) {
    batch.push_back(waiting_.front());
    waiting_.pop_front();
  }
  return batch;
}

void QueryGate::Run(const std::vector<Waiter*>& batch) const {
  std::vector<VectorQuery> queries;
  queries.reserve(batch.size());
  for (const Waiter* waiter : batch) queries.push_back(waiter->query);
  std::vector<TopRows> results(batch.size());
  scan_(queries.data(), queries.size(), results.data());
  for (size_t i = 0; i < batch.size(); ++i) batch[i]->result = std::move(results[i]);
}

void QueryGate::HandOver(const std::vector<Waiter*>& done) {
  for (Waiter* waiter : done) {
    waiter->is_done = true;
    waiter->changed.Signal();
  }
  if (waiting_.empty()) {
    ++free_lanes_;
    return;
  }
  Waiter* next = waiting_.front();
  waiting_.pop_front();
  next->leads = true;
  next->changed.Signal();
}

size_t QueryGate::waiting() const {
  absl::MutexLock lock(&mutex_);
  return waiting_.size();
}

}  // namespace aibackend::retrieval
