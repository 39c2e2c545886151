#include "client/cli/line_reader.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace aibackend::cli {

bool LineReader::TakeLine(std::string& line) {
  const size_t end = buffer_.find('\n');
  if (end == std::string::npos) return false;
  line = buffer_.substr(0, end);
  buffer_.erase(0, end + 1);
  return true;
}

LineReader::Outcome LineReader::Next(std::string& line) {
  while (!TakeLine(line)) {
    if (buffer_.size() > kLineBytesMax) {
      buffer_.clear();
      return Outcome::kTooLong;
    }
    pollfd fds[] = {{interrupts_.fd(), POLLIN, 0}, {fd_, POLLIN, 0}};
    if (poll(fds, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return Outcome::kEnd;
    }
    if (interrupts_.Take()) return Outcome::kInterrupted;
    if (fds[1].revents == 0) continue;
    char block[4096];
    const ssize_t count = read(fd_, block, sizeof(block));
    if (count <= 0) return Outcome::kEnd;
    buffer_.append(block, count);
  }
  return Outcome::kLine;
}

}  // namespace aibackend::cli
