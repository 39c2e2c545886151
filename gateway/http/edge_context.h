// What the connections of one edge share.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "gateway/http/byte_budget.h"
#include "gateway/http/edge.h"
#include "gateway/http/mutex.h"
#include "gateway/http/refused.h"
#include "gateway/http/request_parser.h"
#include "gateway/http/response_head.h"

namespace aibackend::gateway::http {

// Counts connections and lets Stop() wait for the last. Thread-safe.
class OpenCount {
 public:
  void Add() {
    MutexLock lock(mutex_);
    ++count_;
  }
  void Remove() {
    MutexLock lock(mutex_);
    if (--count_ == 0) none_.SignalAll();
  }
  size_t count() const {
    MutexLock lock(mutex_);
    return count_;
  }
  // True when there is none; without a deadline it waits for that.
  bool WaitForNone(std::optional<std::chrono::steady_clock::time_point> deadline) {
    MutexLock lock(mutex_);
    while (count_ > 0) {
      if (!deadline) {
        none_.Wait(mutex_);
      } else if (!none_.WaitUntil(mutex_, *deadline)) {
        return count_ == 0;
      }
    }
    return true;
  }

 private:
  mutable Mutex mutex_;
  CondVar none_;
  size_t count_ ABSL_GUARDED_BY(mutex_) = 0;
};

struct EdgeContext {
  EdgeContext(EdgeOptions o, Edge::Handler h)
      : options(std::move(o)), handler(std::move(h)), bodies(options.bodies_bytes_max) {}

  // The headers and the body of a refusal.
  std::pair<HeaderList, std::string> RefusalAnswer(const Refused& refused) const {
    if (options.refusal_answer) return options.refusal_answer(refused.why, refused.message);
    return {{{"Content-Type", "text/plain; charset=utf-8"}}, refused.message + "\n"};
  }

  const EdgeOptions options;
  const Edge::Handler handler;
  ByteBudget bodies;
  RequestParser parser;
  DateCache dates;
  OpenCount open;
  std::atomic<bool> draining{false};  // answers say Connection: close, idle connections end
  std::atomic<uint64_t> accepted{0};
  std::atomic<uint64_t> requests{0};
  std::atomic<uint64_t> refusals{0};
};

}  // namespace aibackend::gateway::http
