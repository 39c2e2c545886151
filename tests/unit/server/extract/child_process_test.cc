#include "server/extract/child_process.h"

#include <sys/wait.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace aibackend::extract {
namespace {

using End = ChildResult::End;

ChildLimits Limits() {
  return {absl::Seconds(10), absl::Seconds(60), size_t{512} << 20, 1 << 20};
}

ChildResult RunTool(const std::vector<std::string>& argv, absl::string_view input = "",
                    const ChildLimits& limits = Limits()) {
  const auto result = RunChild(argv, input, limits);
  EXPECT_TRUE(result.ok()) << result.status();
  // It left no child behind.
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
  return result.ok() ? *result : ChildResult{};
}

ChildResult Shell(const std::string& script, const ChildLimits& limits = Limits()) {
  return RunTool({"/bin/sh", "-c", script}, "", limits);
}

std::string CommandLine(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/cmdline");
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(ChildProcess, MovesBytesBothWays) {
  const std::string input(700'000, 'x');  // more than any pipe holds
  const ChildResult result = RunTool({"/bin/cat"}, input);
  EXPECT_EQ(result.end, End::kExited);
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.output, input);
}

TEST(ChildProcess, TellsHowItEnded) {
  const ChildResult failed = Shell("echo oops >&2; exit 3");
  EXPECT_EQ(failed.end, End::kExited);
  EXPECT_EQ(failed.exit_code, 3);
  EXPECT_EQ(failed.errors, "oops\n");
  EXPECT_EQ(Shell("kill -SEGV $$").end, End::kCrashed);
}

TEST(ChildProcess, AChildThatReadsNothingIsFine) {
  EXPECT_EQ(RunTool({"/bin/true"}, std::string(1 << 20, 'x')).exit_code, 0);
}

TEST(ChildProcess, AChildThatHangsIsKilled) {
  ChildLimits limits = Limits();
  limits.wall_max = absl::Milliseconds(50);
  EXPECT_EQ(RunTool({"/bin/sleep", "1000"}, "", limits).end, End::kOutOfTime);
}

TEST(ChildProcess, AChildThatClosesItsEndsAndLivesOnIsKilled) {
  ChildLimits limits = Limits();
  limits.wall_max = absl::Milliseconds(50);
  EXPECT_EQ(Shell("exec >&- 2>&-; exec sleep 1000", limits).end, End::kOutOfTime);
}

TEST(ChildProcess, WhatItStartedIsKilledWithIt) {
  // The shell ends; what it started holds the file that tells so, until the group is killed.
  ChildLimits limits = Limits();
  limits.wall_max = absl::Milliseconds(50);
  const ChildResult result = Shell("sleep 1000 & echo $!", limits);
  EXPECT_EQ(result.end, End::kOutOfTime);
  // The kill needn't have reached it yet; dead, it has no command line, reaped or not.
  const std::string pid = result.output.substr(0, result.output.find('\n'));
  while (!CommandLine(pid).empty()) std::this_thread::yield();
}

TEST(ChildProcess, ProcessorTimeIsALimit) {
  ChildLimits limits = Limits();
  limits.cpu_max = absl::Milliseconds(1);
  EXPECT_EQ(Shell("read x; while :; do :; done", limits).end, End::kOutOfTime);
}

TEST(ChildProcess, OutputIsALimit) {
  ChildLimits limits = Limits();
  limits.output_bytes_max = 100'000;
  const ChildResult result = RunTool({"/usr/bin/yes"}, "", limits);
  EXPECT_EQ(result.end, End::kOutputTooLong);
  EXPECT_EQ(result.output.size(), 100'000u);
}

TEST(ChildProcess, ErrorsWithoutEndAreDropped) {
  const ChildResult result = Shell("head -c 1000000 /dev/zero >&2; echo done");
  EXPECT_EQ(result.output, "done\n");
  EXPECT_LE(result.errors.size(), 4096u);
}

TEST(ChildProcess, ItsLimitsHoldBeforeItReads) {
  const ChildResult result =
      RunTool({"/bin/sh", "-c",
               "read x; ulimit -t; ulimit -v; ulimit -f; ulimit -c; ulimit -n; umask >/dev/null"},
              "go\n");
  EXPECT_EQ(result.output, "10\n524288\n0\n0\n32\n");
}

TEST(ChildProcess, ItInheritsNothing) {
  ASSERT_EQ(setenv("AIB_SECRET_OF_THIS_TEST", "x", 1), 0);
  EXPECT_EQ(RunTool({"/usr/bin/env"}).output, "LC_ALL=C.UTF-8\n");
  // The fourth tells when it has ended; the fifth is ls's own, of the folder it lists.
  EXPECT_EQ(RunTool({"/bin/ls", "/proc/self/fd"}).output, "0\n1\n2\n3\n4\n");
  EXPECT_THAT(Shell("pwd").output, "/\n");
}

TEST(ChildProcess, AMissingProgramIsSaid) {
  EXPECT_TRUE(absl::IsNotFound(RunChild({"/nowhere/program"}, "", Limits()).status()));
}

}  // namespace
}  // namespace aibackend::extract
