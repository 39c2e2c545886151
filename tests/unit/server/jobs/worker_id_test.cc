#include "server/jobs/worker_id.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"

namespace aibackend::jobs {
namespace {

std::string WithPart(const std::string& id, int index, const std::string& value) {
  std::vector<std::string> parts = absl::StrSplit(id, ':');
  parts[index] = value;
  return absl::StrJoin(parts, ":");
}

TEST(WorkerId, TwoOfOneProcessDiffer) {
  EXPECT_NE(MakeWorkerId(), MakeWorkerId());
}

TEST(WorkerId, ALivingProcessIsNotGone) {
  EXPECT_FALSE(WorkerIsGone(MakeWorkerId()));
}

TEST(WorkerId, ALaterProcessOfTheSameNumberIsAnother) {
  EXPECT_TRUE(WorkerIsGone(WithPart(MakeWorkerId(), 2, "1")));
}

TEST(WorkerId, OfOtherMachinesAndForeignNamesNothingIsKnown) {
  EXPECT_FALSE(WorkerIsGone(WithPart(MakeWorkerId(), 0, "another-host")));
  for (const char* id : {"", "worker", "a:b:c:d", ":::", "a:b:c:d:e"}) {
    EXPECT_FALSE(WorkerIsGone(id)) << id;
  }
}

TEST(WorkerId, AKilledProcessIsGoneEvenBeforeItsParentNotices) {
  int fds[2];
  ASSERT_EQ(pipe(fds), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const std::string id = MakeWorkerId();
    const bool told = write(fds[1], id.data(), id.size()) == static_cast<ssize_t>(id.size());
    if (told) pause();
    _exit(1);
  }
  char buffer[512];
  const ssize_t size = read(fds[0], buffer, sizeof(buffer));
  ASSERT_GT(size, 0);
  const std::string id(buffer, size);
  EXPECT_FALSE(WorkerIsGone(id)) << id;
  ASSERT_EQ(kill(child, SIGKILL), 0);
  siginfo_t info;
  ASSERT_EQ(waitid(P_PID, child, &info, WEXITED | WNOWAIT), 0);  // dead, not yet reaped
  EXPECT_TRUE(WorkerIsGone(id)) << id;
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(WorkerIsGone(id)) << id;
  close(fds[0]);
  close(fds[1]);
}

}  // namespace
}  // namespace aibackend::jobs
