#include "server/extract/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <utility>

#include "absl/status/status.h"

namespace aibackend::extract {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr size_t kChunkBytes = 64 << 10;     // what a pipe holds
constexpr size_t kErrorsBytesMax = 4 << 10;  // the first lines name the cause
constexpr int kLifeFileno = STDERR_FILENO + 1;
constexpr rlim_t kOpenFilesMax = 32;  // its libraries, four pipes and a few files of data

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() { Close(); }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  [[nodiscard]] int get() const { return fd_; }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

// This process's ends and the child's.
struct Channels {
  // A socket: writing to one whose reader is gone can be told not to raise SIGPIPE.
  Fd input, child_input;
  Fd output, child_output;
  Fd errors, child_errors;
  // Nothing is ever written to it. Programs close their standard files a moment before they end;
  // this one they don't know, so the system closes it, when how they ended is settled.
  Fd life, child_life;

  bool Open() {
    std::array<int, 2> in{}, out{}, err{}, alive{};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in.data()) != 0) return false;
    input = Fd(in[0]);
    child_input = Fd(in[1]);
    if (pipe2(out.data(), O_CLOEXEC) != 0) return false;
    output = Fd(out[0]);
    child_output = Fd(out[1]);
    if (pipe2(err.data(), O_CLOEXEC) != 0) return false;
    errors = Fd(err[0]);
    child_errors = Fd(err[1]);
    if (pipe2(alive.data(), O_CLOEXEC) != 0) return false;
    life = Fd(alive[0]);
    child_life = Fd(alive[1]);
    // Its last bytes are read without waiting for what else may hold the other end.
    if (fcntl(errors.get(), F_SETFL, O_NONBLOCK) != 0) return false;
    // Else the child's numbers, which are put in place one by one, would overwrite them.
    return std::min({in[1], out[1], err[1], alive[1]}) > STDERR_FILENO;
  }

  void CloseChildsEnds() {
    child_input.Close();
    child_output.Close();
    child_errors.Close();
    child_life.Close();
  }
};

// Killed and reaped when this goes out of scope, if not before.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  ~Child() { KillAndReap(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }

  // The wait status; -1 when it isn't known. A child that has ended already keeps its own.
  int KillAndReap() {
    if (pid_ < 0) return -1;
    kill(-pid_, SIGKILL);  // its group: also what it may have started
    int status = -1;
    while (waitpid(pid_, &status, 0) < 0) {
      if (errno != EINTR) {
        status = -1;
        break;
      }
    }
    pid_ = -1;
    return status;
  }

 private:
  pid_t pid_;
};

absl::StatusOr<pid_t> Spawn(const std::vector<std::string>& argv, const Channels& channels) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, channels.child_input.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, channels.child_output.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, channels.child_errors.get(), STDERR_FILENO);
  posix_spawn_file_actions_adddup2(&actions, channels.child_life.get(), kLifeFileno);
  posix_spawn_file_actions_addclosefrom_np(&actions, kLifeFileno + 1);
  posix_spawn_file_actions_addchdir_np(&actions, "/");
  // A group of its own, so that a Ctrl-C at the terminal is the server's to handle; and the signals
  // as a program expects them, whatever the server blocks or ignores.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);

  std::vector<char*> arguments;
  arguments.reserve(argv.size() + 1);
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  char locale[] = "LC_ALL=C.UTF-8";
  char* environment[] = {locale, nullptr};
  pid_t pid = -1;
  const int error =
      posix_spawn(&pid, arguments[0], &actions, &attributes, arguments.data(), environment);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error == ENOENT) return absl::NotFoundError("there is no such program");
  if (error != 0) return absl::InternalError("a child process could not be started");
  return pid;
}

bool SetLimit(pid_t pid, __rlimit_resource resource, rlim_t max) {
  const rlimit limit{max, max};
  return prlimit(pid, resource, &limit, nullptr) == 0;
}

bool SetLimits(pid_t pid, const ChildLimits& limits) {
  const auto cpu_seconds = absl::ToInt64Seconds(absl::Ceil(limits.cpu_max, absl::Seconds(1)));
  return SetLimit(pid, RLIMIT_CPU, static_cast<rlim_t>(std::max<int64_t>(1, cpu_seconds))) &&
         SetLimit(pid, RLIMIT_AS, limits.memory_bytes_max) && SetLimit(pid, RLIMIT_FSIZE, 0) &&
         SetLimit(pid, RLIMIT_CORE, 0) && SetLimit(pid, RLIMIT_NOFILE, kOpenFilesMax);
}

// Moves bytes both ways until the child has ended or must.
class Exchange {
 public:
  Exchange(Channels& channels, absl::string_view input, const ChildLimits& limits)
      : channels_(channels),
        input_(input),
        output_bytes_max_(limits.output_bytes_max),
        end_(SteadyClock::now() + absl::ToChronoNanoseconds(limits.wall_max)) {}

  // kExited says that the child has ended, and all its output is here.
  ChildResult::End Run(ChildResult& result) {
    while (channels_.output.get() >= 0 || channels_.life.get() >= 0) {
      // poll() leaves out what is closed: its number is -1.
      std::array<pollfd, 4> polled{{{channels_.input.get(), POLLOUT, 0},
                                    {channels_.output.get(), POLLIN, 0},
                                    {channels_.errors.get(), POLLIN, 0},
                                    {channels_.life.get(), POLLIN, 0}}};
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(end_ - SteadyClock::now()).count();
      if (left <= 0) return ChildResult::End::kOutOfTime;
      if (poll(polled.data(), polled.size(), static_cast<int>(left)) < 0) continue;  // EINTR
      if (polled[0].revents != 0) Send();
      if (polled[1].revents != 0 && !Receive(channels_.output, result.output, output_bytes_max_)) {
        return ChildResult::End::kOutputTooLong;
      }
      // What is beyond the start of the errors is read and dropped, so that the child can go on.
      if (polled[2].revents != 0) (void)Receive(channels_.errors, result.errors, kErrorsBytesMax);
      if (polled[3].revents != 0) channels_.life.Close();
    }
    if (channels_.errors.get() >= 0)
      (void)Receive(channels_.errors, result.errors, kErrorsBytesMax);
    return ChildResult::End::kExited;
  }

 private:
  void Send() {
    const ssize_t sent = send(channels_.input.get(), input_.data(),
                              std::min(input_.size(), kChunkBytes), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (sent > 0) input_.remove_prefix(static_cast<size_t>(sent));
    // A child that reads no more has what it wants, or failed: its exit says which.
    if (sent <= 0 || input_.empty()) channels_.input.Close();
  }

  // False when there is more than `bytes_max`. Closes `from` at its end.
  bool Receive(Fd& from, std::string& to, size_t bytes_max) {
    const ssize_t got = read(from.get(), chunk_.data(), chunk_.size());
    if (got < 0 && errno == EINTR) return true;
    if (got <= 0) {
      from.Close();
      return true;
    }
    const size_t kept = std::min(static_cast<size_t>(got), bytes_max - to.size());
    to.append(chunk_.data(), kept);
    return kept == static_cast<size_t>(got);
  }

  Channels& channels_;
  absl::string_view input_;
  const size_t output_bytes_max_;
  const SteadyClock::time_point end_;
  std::array<char, kChunkBytes> chunk_{};
};

}  // namespace

absl::StatusOr<ChildResult> RunChild(const std::vector<std::string>& argv, absl::string_view input,
                                     const ChildLimits& limits) {
  Channels channels;
  if (!channels.Open()) return absl::InternalError("no pipe could be opened");
  const absl::StatusOr<pid_t> pid = Spawn(argv, channels);
  if (!pid.ok()) return pid.status();
  Child child(*pid);
  channels.CloseChildsEnds();
  // posix_spawn sets no limits, but the program has seen nothing yet that could make it misbehave.
  if (!SetLimits(child.pid(), limits)) {
    return absl::InternalError("a child process could not be limited");
  }
  ChildResult result;
  result.end = Exchange(channels, input, limits).Run(result);
  const int status = child.KillAndReap();
  if (result.end != ChildResult::End::kExited) return result;
  if (status == -1) return absl::InternalError("how a child process ended is not known");
  if (WIFEXITED(status)) {
    result.exit_code = WEXITSTATUS(status);
  } else {
    const bool is_out_of_time = WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL;
    result.end = is_out_of_time ? ChildResult::End::kOutOfTime : ChildResult::End::kCrashed;
  }
  return result;
}

}  // namespace aibackend::extract
