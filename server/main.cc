#include <ucontext.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "absl/synchronization/mutex.h"
#include "server/app.h"
#include "server/config/settings.h"
#include "server/telemetry/log.h"

namespace {

constexpr int kExitBadConfiguration = 2;
constexpr int kExitCannotStart = 1;

// Runs on a thread that a library started before main (OpenBLAS does) and that so blocks nothing:
// lets it block the stop signals from now on, and hands this one back to the process, for sigwait.
// Without it such a signal would end the process wherever main is not in sigwait: while it starts,
// and while it drains.
void HandBack(int signal, siginfo_t*, void* context) {
  sigset_t& mask = static_cast<ucontext_t*>(context)->uc_sigmask;
  sigaddset(&mask, SIGTERM);
  sigaddset(&mask, SIGINT);
  kill(getpid(), signal);
}

// SIGTERM and SIGINT are taken by sigwait, on the main thread alone; every thread started later
// inherits the mask.
sigset_t BlockStopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  struct sigaction hand_back = {};
  hand_back.sa_sigaction = &HandBack;
  hand_back.sa_mask = signals;
  hand_back.sa_flags = SA_SIGINFO | SA_RESTART;
  sigaction(SIGTERM, &hand_back, nullptr);
  sigaction(SIGINT, &hand_back, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  return signals;
}

int Fail(int code, const absl::Status& status) {
  std::fprintf(stderr, "aibackend-server: %s\n", std::string(status.message()).c_str());
  return code;
}

}  // namespace

int main(int argc, char** argv) {
#ifdef NDEBUG
  // Debian's abseil looks for deadlocks at every lock, which costs some 4 % of a request. The
  // builds for tests do look.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
  const sigset_t stop_signals = BlockStopSignals();

  const auto invocation = aibackend::config::Load(argc, argv);
  if (!invocation.ok()) return Fail(kExitBadConfiguration, invocation.status());
  if (!invocation->print.empty()) {
    std::fputs(invocation->print.c_str(), stdout);
    return 0;
  }
  if (const auto log = aibackend::telemetry::StartLog(invocation->settings.log_level,
                                                      invocation->settings.log_format);
      !log.ok()) {
    return Fail(kExitBadConfiguration, log);
  }

  aibackend::SystemClock clock;
  const auto app = aibackend::App::Build(invocation->settings, clock);
  if (!app.ok()) return Fail(kExitCannotStart, app.status());

  int signal = 0;
  sigwait(&stop_signals, &signal);
  (*app)->Drain();
  return 0;
}
