// Work that is done again and again on a thread of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace aibackend::usage {

// Thread-safe. Runs `work` every `period`, counted from the end of the run before. After runs that
// failed it waits longer: uniform over half to all of the period, doubled with each failure, at
// most kPauseMax. The first failure in a row is in the log, with `name`, and so is the end of them.
class Periodic {
 public:
  static constexpr absl::Duration kPauseMax = absl::Seconds(30);

  Periodic(std::string name, absl::Duration period, std::function<absl::Status()> work);
  // Waits for a run under way.
  ~Periodic();
  Periodic(const Periodic&) = delete;
  Periodic& operator=(const Periodic&) = delete;

  // Wakes the thread and waits for a run that begins after this call; its status. Fails with
  // DEADLINE_EXCEEDED when `timeout` passes first.
  absl::Status RunNow(absl::Duration timeout);

 private:
  void Run();
  bool WaitForNext();
  void Note(const absl::Status& status);

  const std::string name_;
  const absl::Duration period_;
  const std::function<absl::Status()> work_;

  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t begun_ ABSL_GUARDED_BY(mutex_) = 0;     // runs
  uint64_t ended_ ABSL_GUARDED_BY(mutex_) = 0;     // runs
  uint64_t asked_to_ ABSL_GUARDED_BY(mutex_) = 0;  // begin runs at once up to this one
  absl::Status last_ ABSL_GUARDED_BY(mutex_);
  absl::Duration pause_ ABSL_GUARDED_BY(mutex_);

  absl::BitGen random_;  // the thread's
  std::thread thread_;   // last: it uses the others
};

}  // namespace aibackend::usage
