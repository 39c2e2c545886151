// Runs a program on bytes, with limits, and without a shell.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace aibackend::extract {

struct ChildLimits {
  absl::Duration cpu_max;   // rounded up to a second
  absl::Duration wall_max;  // from the start
  size_t memory_bytes_max;  // of address space
  size_t output_bytes_max;
};

struct ChildResult {
  enum class End {
    kExited,         // by itself, with `exit_code`
    kOutOfTime,      // killed: processor time or wall time
    kOutputTooLong,  // killed
    kCrashed,        // by a signal
  };
  End end = End::kExited;
  int exit_code = 0;
  std::string output;  // of standard output, at most output_bytes_max
  std::string errors;  // the start of standard error, for telling causes apart: never for a caller
};

// Runs argv[0], a path, with `input` as its standard input and waits until it has ended; it is
// always reaped. It sees none of this process's environment or files, starts in "/", and can write
// no file. Its limits hold before it sees the first byte of `input`. Fails with NOT_FOUND where
// there is no such program, INTERNAL where the system refuses. Thread-safe.
absl::StatusOr<ChildResult> RunChild(const std::vector<std::string>& argv, absl::string_view input,
                                     const ChildLimits& limits);

}  // namespace aibackend::extract
