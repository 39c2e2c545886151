// Ctrl-C as an event to wait for, where it should not end the program at once.
#pragma once

#include <functional>
#include <thread>

namespace aibackend::cli {

// While one of these lives, SIGINT is queued instead of ending the program. Make it before any
// other thread is started, for only threads that are started later inherit that. Thread-safe.
class Interrupts {
 public:
  Interrupts();
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  // Readable while a Ctrl-C waits to be taken: for poll().
  int fd() const { return fd_; }
  // Takes what waits; false if nothing did.
  bool Take();

  // Calls `on_interrupt` for each Ctrl-C while it lives, on a thread of its own. After the
  // destructor no call runs.
  class Watch {
   public:
    Watch(Interrupts& interrupts, std::function<void()> on_interrupt);
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

   private:
    int stop_fd_;
    std::thread thread_;
  };

 private:
  int fd_;
};

}  // namespace aibackend::cli
