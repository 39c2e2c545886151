// A limit on the processor time that this thread spends on one file.
#pragma once

#include <ctime>

#include "absl/time/time.h"

namespace aibackend::extract {

// Used by the thread that made it. Processor time, not the clock's: a busy machine fails no file.
class CpuBudget {
 public:
  explicit CpuBudget(absl::Duration cpu_max) : end_(Spent() + cpu_max) {}

  [[nodiscard]] bool IsSpent() const { return Spent() >= end_; }

 private:
  static absl::Duration Spent() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return absl::DurationFromTimespec(now);
  }

  absl::Duration end_;
};

}  // namespace aibackend::extract
