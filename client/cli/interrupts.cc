#include "client/cli/interrupts.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <utility>

namespace aibackend::cli {
namespace {

sigset_t JustInterrupt() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

// Without a descriptor for the signal (none left) Ctrl-C keeps its usual meaning, the end.
Interrupts::Interrupts() {
  const sigset_t set = JustInterrupt();
  fd_ = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  if (fd_ >= 0) pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

Interrupts::~Interrupts() {
  if (fd_ < 0) return;
  Take();  // what came too late to matter must not end the program now
  close(fd_);
  const sigset_t set = JustInterrupt();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

bool Interrupts::Take() {
  signalfd_siginfo info;
  bool taken = false;
  while (read(fd_, &info, sizeof(info)) == sizeof(info)) taken = true;
  return taken;
}

Interrupts::Watch::Watch(Interrupts& interrupts, std::function<void()> on_interrupt)
    : stop_fd_(eventfd(0, EFD_CLOEXEC)),
      thread_([&interrupts, stop_fd = stop_fd_, callback = std::move(on_interrupt)] {
        pollfd fds[] = {{interrupts.fd(), POLLIN, 0}, {stop_fd, POLLIN, 0}};
        while (stop_fd >= 0) {
          if (poll(fds, 2, -1) < 0) continue;
          if (fds[1].revents != 0) return;
          if (interrupts.Take()) callback();
        }
      }) {}

Interrupts::Watch::~Watch() {
  if (stop_fd_ >= 0) eventfd_write(stop_fd_, 1);
  thread_.join();
  if (stop_fd_ >= 0) close(stop_fd_);
}

}  // namespace aibackend::cli
