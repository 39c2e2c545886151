// A program run as a child, over pipes or at a terminal.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace aibackend::client {

struct Finished {
  int exit_code = -1;  // -1: ended by a signal
  std::string out;
  std::string err;
};

// Runs the program to its end with `input` on its stdin. Environment: only `environment`.
Finished RunChild(const std::vector<std::string>& arguments, const std::string& input = {},
                  const std::vector<std::string>& environment = {});

// A child with a pseudo-terminal as its controlling terminal, as a person would have it.
class TerminalChild {
 public:
  explicit TerminalChild(const std::vector<std::string>& arguments);
  ~TerminalChild();
  TerminalChild(const TerminalChild&) = delete;
  TerminalChild& operator=(const TerminalChild&) = delete;

  void Type(const std::string& text);
  // Reads until `text` shows after what was waited for before. False: the child ended or 30 s
  // passed first.
  bool WaitFor(const std::string& text);
  // Waits for the end; the exit code, or -1 after a signal.
  int Wait();
  const std::string& screen() const { return screen_; }

 private:
  bool ReadMore();

  int terminal_ = -1;
  pid_t pid_ = -1;
  std::string screen_;
  size_t seen_ = 0;
};

}  // namespace aibackend::client
