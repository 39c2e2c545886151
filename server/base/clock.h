// Time as a dependency, so that a test steps it.
#pragma once

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace aibackend {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() = 0;
};

class SystemClock final : public Clock {
 public:
  absl::Time Now() override { return absl::Now(); }
};

}  // namespace aibackend
