// A database that tells a test of each write, so that it can wait for a state instead of sleeping.
#pragma once

#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "server/base/status.h"
#include "server/storage/database.h"

namespace aibackend::storage {

// Thread-safe.
class WatchedDatabase final : public Database {
 public:
  explicit WatchedDatabase(std::unique_ptr<Database> real) : real_(std::move(real)) {}

  absl::Status Read(absl::FunctionRef<absl::Status(Session&)> work) override {
    return real_->Read(work);
  }

  absl::Status Write(absl::FunctionRef<absl::Status(Session&)> work) override {
    absl::Status status =
        away() ? MakeError(Reason::DATABASE_UNAVAILABLE, "away") : real_->Write(work);
    absl::MutexLock lock(&mutex_);
    ++writes_;
    written_.SignalAll();
    return status;
  }

  int writes() {
    absl::MutexLock lock(&mutex_);
    return writes_;
  }

  void set_away(bool away) {
    absl::MutexLock lock(&mutex_);
    away_ = away;
  }

  // Asks after every write; false if a minute passes.
  bool WaitUntil(absl::FunctionRef<bool()> reached) {
    const absl::Time deadline = absl::Now() + absl::Minutes(1);
    for (;;) {
      const int seen = writes();
      if (reached()) return true;
      absl::MutexLock lock(&mutex_);
      while (writes_ == seen) {
        if (written_.WaitWithDeadline(&mutex_, deadline)) return false;
      }
    }
  }

 private:
  bool away() {
    absl::MutexLock lock(&mutex_);
    return away_;
  }

  const std::unique_ptr<Database> real_;
  absl::Mutex mutex_;
  absl::CondVar written_;
  int writes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool away_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace aibackend::storage
