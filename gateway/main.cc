#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <cstdio>

#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "gateway/app.h"
#include "gateway/settings.h"
#include "gateway/transcode/log.h"

namespace {

constexpr int kExitCannotStart = 1;
constexpr int kExitBadConfiguration = 2;

// The signals that end the program. Blocked in every thread but where they are waited for, so they
// must be blocked before the first thread starts.
sigset_t BlockEndSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);  // a client that leaves is an error of write(), no signal
  return signals;
}

// A connection is a file: as many as the system lets this process have.
void RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// Returns at the first signal; a second one ends the program at once.
void WaitForEnd(const sigset_t& signals) {
  int signal_number = 0;
  sigwait(&signals, &signal_number);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  spdlog::info("{}: draining", signal_number == SIGTERM ? "SIGTERM" : "SIGINT");
}

}  // namespace

int main(int argc, char** argv) {
#ifdef NDEBUG
  // Debian's abseil looks for deadlocks at every lock, which costs some 4 % of a request. The
  // builds for tests do look.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
  const sigset_t end_signals = BlockEndSignals();

  const auto invocation = aibackend::gateway::Load(argc, argv);
  if (!invocation.ok()) {
    std::fprintf(stderr, "aibackend-gateway: %s\n",
                 std::string(invocation.status().message()).c_str());
    return kExitBadConfiguration;
  }
  if (!invocation->print.empty()) {
    std::fputs(invocation->print.c_str(), stdout);
    return 0;
  }
  const aibackend::gateway::Settings& settings = invocation->settings;
  aibackend::gateway::StartLog(settings.log_level, settings.log_format == "json");
  RaiseFileLimit();

  const auto gateway = aibackend::gateway::Gateway::Start(settings);
  if (!gateway.ok()) {
    spdlog::error("cannot start: {}", std::string(gateway.status().message()));
    return kExitCannotStart;
  }
  spdlog::info("listening on http://{}:{} for {}", settings.Host(), (*gateway)->port(),
               absl::StrJoin(settings.servers, ", "));

  WaitForEnd(end_signals);
  (*gateway)->Drain();
  spdlog::info("drained");
  return 0;
}
