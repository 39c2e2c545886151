#include "tests/unit/client/child.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <thread>

#include "gtest/gtest.h"

namespace aibackend::client {
namespace {

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const auto& string : strings) pointers.push_back(const_cast<char*>(string.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

pid_t Spawn(const std::vector<std::string>& arguments, const std::vector<std::string>& environment,
            posix_spawn_file_actions_t& actions, posix_spawnattr_t* attributes) {
  pid_t pid = -1;
  const int failed = posix_spawn(&pid, arguments[0].c_str(), &actions, attributes,
                                 Pointers(arguments).data(), Pointers(environment).data());
  EXPECT_EQ(failed, 0) << arguments[0];
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

int ExitCode(pid_t pid) {
  int status = 0;
  if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

std::string ReadAll(int fd) {
  std::string text;
  char block[4096];
  while (const ssize_t count = read(fd, block, sizeof(block))) {
    if (count < 0) break;
    text.append(block, count);
  }
  close(fd);
  return text;
}

}  // namespace

Finished RunChild(const std::vector<std::string>& arguments, const std::string& input,
                  const std::vector<std::string>& environment) {
  int pipes[3][2];
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(pipe2(pipes[i], O_CLOEXEC), 0);
    posix_spawn_file_actions_adddup2(&actions, pipes[i][i == 0 ? 0 : 1], i);
  }
  const pid_t pid = Spawn(arguments, environment, actions, nullptr);
  close(pipes[0][0]);
  close(pipes[1][1]);
  close(pipes[2][1]);
  Finished finished;
  std::thread err([&] { finished.err = ReadAll(pipes[2][0]); });
  EXPECT_EQ(write(pipes[0][1], input.data(), input.size()), static_cast<ssize_t>(input.size()));
  close(pipes[0][1]);
  finished.out = ReadAll(pipes[1][0]);
  err.join();
  finished.exit_code = ExitCode(pid);
  return finished;
}

TerminalChild::TerminalChild(const std::vector<std::string>& arguments) {
  terminal_ = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  EXPECT_EQ(grantpt(terminal_), 0);
  EXPECT_EQ(unlockpt(terminal_), 0);
  const std::string name = ptsname(terminal_);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  // The first terminal that a new session's leader opens becomes its controlling terminal.
  posix_spawn_file_actions_addopen(&actions, 0, name.c_str(), O_RDWR, 0);
  posix_spawn_file_actions_adddup2(&actions, 0, 1);
  posix_spawn_file_actions_adddup2(&actions, 0, 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  pid_ = Spawn(arguments, {"TERM=xterm"}, actions, &attributes);
  posix_spawnattr_destroy(&attributes);
}

TerminalChild::~TerminalChild() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    ExitCode(pid_);
  }
  close(terminal_);
}

void TerminalChild::Type(const std::string& text) {
  EXPECT_EQ(write(terminal_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

bool TerminalChild::ReadMore() {
  constexpr int kPatienceMs = 30'000;
  pollfd fd = {terminal_, POLLIN, 0};
  if (poll(&fd, 1, kPatienceMs) <= 0) return false;
  char block[4096];
  const ssize_t count = read(terminal_, block, sizeof(block));
  if (count <= 0) return false;  // EIO: the other side is closed
  screen_.append(block, count);
  return true;
}

bool TerminalChild::WaitFor(const std::string& text) {
  while (true) {
    const size_t found = screen_.find(text, seen_);
    if (found != std::string::npos) {
      seen_ = found + text.size();
      return true;
    }
    if (!ReadMore()) return false;
  }
}

int TerminalChild::Wait() {
  while (ReadMore()) {
  }
  const int code = ExitCode(pid_);
  pid_ = -1;
  return code;
}

}  // namespace aibackend::client
