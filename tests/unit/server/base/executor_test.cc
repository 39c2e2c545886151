#include "server/base/executor.h"

#include <atomic>

#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"

namespace aibackend {
namespace {

TEST(Executor, FinishesWhatIsQueuedBeforeItEnds) {
  std::atomic<int> ran{0};
  {
    Executor executor(2, 1000);
    for (int i = 0; i < 500; ++i) ASSERT_TRUE(executor.TrySubmit([&] { ++ran; }));
  }
  EXPECT_EQ(ran, 500);
}

TEST(Executor, RefusesWhatItsQueueCannotHold) {
  absl::Notification started, release;
  std::atomic<int> ran{0};
  {
    Executor executor(1, 2);
    ASSERT_TRUE(executor.TrySubmit([&] {
      started.Notify();
      release.WaitForNotification();
    }));
    started.WaitForNotification();
    EXPECT_TRUE(executor.TrySubmit([&] { ++ran; }));
    EXPECT_TRUE(executor.TrySubmit([&] { ++ran; }));
    EXPECT_FALSE(executor.TrySubmit([&] { ran += 100; }));
    release.Notify();
  }
  EXPECT_EQ(ran, 2);
}

}  // namespace
}  // namespace aibackend
