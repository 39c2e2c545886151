#include "server/base/timer.h"

#include <memory>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace aibackend {
namespace {

TEST(Timer, RunsCallbacksInTheOrderOfTheirTimes) {
  Timer timer;
  std::vector<int> order;  // the timer's thread alone writes it
  absl::BlockingCounter all(3);
  const absl::Time base = absl::Now() + absl::Milliseconds(20);
  auto at = [&](int place) {
    timer.At(base + absl::Milliseconds(place), [&, place] {
      order.push_back(place);
      all.DecrementCount();
    });
  };
  at(2);
  at(0);
  at(1);
  all.Wait();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2}));
}

TEST(Timer, ACancelledCallbackNeverRuns) {
  bool ran = false;
  absl::Notification later;
  Timer timer;
  const auto base = absl::Now() + absl::Milliseconds(20);
  const Timer::Handle handle = timer.At(base, [&] { ran = true; });
  timer.At(base + absl::Milliseconds(1), [&] { later.Notify(); });
  EXPECT_TRUE(timer.Cancel(handle));
  EXPECT_FALSE(timer.Cancel(handle));
  later.WaitForNotification();
  EXPECT_FALSE(ran);
}

TEST(Timer, ACallbackMaySchedule) {
  Timer timer;
  absl::Notification done;
  timer.After(absl::ZeroDuration(),
              [&] { timer.After(absl::ZeroDuration(), [&] { done.Notify(); }); });
  EXPECT_TRUE(done.WaitForNotificationWithTimeout(absl::Seconds(30)));
}

TEST(Timer, WhatACallbackHoldsMayUseTheTimerWhenItGoes) {
  absl::BlockingCounter all(2);
  Timer timer;
  const auto holding = [&] {
    std::shared_ptr<void> held(
        nullptr, [&](void*) { timer.After(absl::ZeroDuration(), [&] { all.DecrementCount(); }); });
    return [held] {};
  };
  timer.After(absl::ZeroDuration(), holding());
  EXPECT_TRUE(timer.Cancel(timer.After(absl::Hours(1), holding())));
  all.Wait();
}

}  // namespace
}  // namespace aibackend
