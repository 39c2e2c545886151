// Lines from a terminal, given up when Ctrl-C comes.
#pragma once

#include <cstddef>
#include <string>

#include "client/cli/interrupts.h"

namespace aibackend::cli {

// The longest line: what is pasted without a newline must end somewhere.
inline constexpr size_t kLineBytesMax = 1 << 20;

// Borrows both; for one thread.
class LineReader {
 public:
  enum class Outcome { kLine, kEnd, kInterrupted, kTooLong };

  LineReader(int fd, Interrupts& interrupts) : fd_(fd), interrupts_(interrupts) {}

  // Waits for a line and puts it, without its newline, into `line`. kEnd: Ctrl-D or an error.
  // kTooLong: what was read so far is dropped.
  Outcome Next(std::string& line);

 private:
  bool TakeLine(std::string& line);

  const int fd_;
  Interrupts& interrupts_;
  std::string buffer_;
};

}  // namespace aibackend::cli
