// The meter under many threads, and its memory.
#include <atomic>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "server/access/meter.h"
#include "server/access/subject_table.h"
#include "server/base/status.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/server/access/meter_fakes.h"

namespace aibackend::access {
namespace {

constexpr char kTenant[] = "acme";
constexpr int kThreads = 64;
constexpr int64_t kTokensMax = 100'000;
constexpr int64_t kNanoUsdMax = 1'000'000'000;

void Race(const std::function<void(int)>& body) {
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(body, i);
  for (std::thread& thread : threads) thread.join();
}

// The key has a cap on tokens, its tenant one on money.
class MeterRaceTest : public testing::Test {
 protected:
  MeterRaceTest() {
    Limits key;
    key.tokens_per_day = kTokensMax;
    limits_.Set(KeySubject("key-1"), key);
    Limits tenant;
    tenant.nano_usd_per_month = kNanoUsdMax;
    limits_.Set(TenantSubject(kTenant), tenant);
  }

  void CheckNeverAbove() {
    const auto key = meter_->StateOf(KeySubject("key-1"), {});
    const auto tenant = meter_->StateOf(TenantSubject(kTenant), {});
    ASSERT_TRUE(key.ok() && tenant.ok());
    ASSERT_LE(key->day.used.tokens + key->day.reserved.tokens, kTokensMax);
    ASSERT_LE(tenant->month.used.money.value + tenant->month.reserved.money.value, kNanoUsdMax);
  }

  // Asks until it is refused, and settles less than the bound; every `drops`th is dropped. What was
  // settled.
  Amount Spend(int thread, int64_t upper_tokens, int64_t upper_money, int drops) {
    Amount settled;
    const Principal principal = PrincipalOf(kTenant, "key-1");
    // Enough to use both caps up, if all of the bound is settled by each of the threads.
    for (int i = 0; i < 400; ++i) {
      auto pass = *meter_->Admit({principal, "", ""}, clock_.Now());
      if (!pass->Reserve({upper_tokens, {upper_money}}).ok()) continue;
      if (i % 16 == 0) CheckNeverAbove();
      if (drops > 0 && (thread + i) % drops == 0) continue;
      const Amount actual{upper_tokens - i % 3, {upper_money - i % 5}};
      settled.tokens += actual.tokens;
      settled.money.value += actual.money.value;
      pass->Settle(actual);
    }
    return settled;
  }

  void SpendAll(int64_t upper_tokens, int64_t upper_money, int drops) {
    std::vector<Amount> settled(kThreads);
    Race([&](int i) { settled[i] = Spend(i, upper_tokens, upper_money, drops); });
    Amount sum;
    for (const Amount& one : settled) {
      sum.tokens += one.tokens;
      sum.money.value += one.money.value;
    }
    CheckNeverAbove();
    const QuotaState key = *meter_->StateOf(KeySubject("key-1"), {});
    const QuotaState tenant = *meter_->StateOf(TenantSubject(kTenant), {});
    EXPECT_EQ(key.day.used.tokens, sum.tokens);
    EXPECT_EQ(tenant.month.used.money.value, sum.money.value);
    for (const QuotaState& state : {key, tenant}) {
      EXPECT_EQ(state.day.reserved.tokens, 0);
      EXPECT_EQ(state.month.reserved.money.value, 0);
      EXPECT_EQ(state.concurrent, 0);
    }
    used_ = {key.day.used.tokens, tenant.month.used.money};
    EXPECT_EQ(spent_.asked(), 2) << "each subject was read once";
  }

  FakeClock clock_;
  FakeLimits limits_;
  FakeSpent spent_;
  Amount used_;
  std::unique_ptr<Meter> meter_ = Meter::Make(clock_, limits_, spent_, {});
};

TEST_F(MeterRaceTest, SixtyFourThreadsNeverPassACapOfTokens) {
  SpendAll(100, 1000, 0);
  EXPECT_GT(used_.tokens, kTokensMax - 100) << "and use it up";
}

TEST_F(MeterRaceTest, SixtyFourThreadsNeverPassACapOfMoney) {
  SpendAll(3, 1'000'003, 0);
  EXPECT_GT(used_.money.value, kNanoUsdMax - 1'000'003);
}

TEST_F(MeterRaceTest, WhatIsDroppedInBetweenIsThereForTheOthers) {
  SpendAll(100, 1000, 3);
  EXPECT_GT(used_.tokens, kTokensMax - 100);
}

TEST_F(MeterRaceTest, ARateIsTheSameForSixtyFourThreads) {
  Limits limits;
  limits.requests_per_minute = 6000;
  limits_.Set(TenantSubject("other"), limits);
  std::atomic<int> admitted{0};
  Race([&](int) {
    const Principal principal = PrincipalOf("other");
    for (int i = 0; i < 100; ++i) admitted += meter_->Admit({principal, "", ""}, clock_.Now()).ok();
  });
  EXPECT_EQ(admitted, 1000);
}

TEST_F(MeterRaceTest, WhatSettlesWhileASubjectIsReadIsNotLostAndItIsReadOnce) {
  limits_.Remove(TenantSubject(kTenant));
  const Principal principal = PrincipalOf(kTenant, "key-1");
  const auto settles_late = *meter_->Admit({principal, "", ""}, clock_.Now());
  absl::Notification reading;
  absl::Notification may_answer;
  spent_.Set([&](const Subject&, absl::Time, absl::Time) {
    if (!reading.HasBeenNotified()) reading.Notify();
    may_answer.WaitForNotification();
    return Spent{{500, {}}, {600, {}}, {}};
  });
  std::atomic<int64_t> granted{0};
  std::thread settler([&] {
    reading.WaitForNotification();
    settles_late->Settle({70, {}});
    may_answer.Notify();
  });
  Race([&](int) {
    const auto pass = *meter_->Admit({principal, "", ""}, clock_.Now());
    if (pass->Reserve({10, {}}).ok()) ++granted;
  });
  settler.join();
  EXPECT_EQ(granted, kThreads);
  EXPECT_EQ(spent_.asked(), 1);
  const QuotaState state = *meter_->StateOf(KeySubject("key-1"), {});
  EXPECT_EQ(state.day.used.tokens, 570);
  EXPECT_EQ(state.month.used.tokens, 670);
  EXPECT_EQ(state.day.reserved.tokens, 0);
}

TEST_F(MeterRaceTest, WhatSettlesWhileAReadFailsIsLeftToTheLedger) {
  const Principal principal = PrincipalOf(kTenant, "key-1");
  const auto settles_late = *meter_->Admit({principal, "", ""}, clock_.Now());
  absl::Notification reading;
  absl::Notification may_answer;
  spent_.Set([&](const Subject&, absl::Time, absl::Time) {
    reading.Notify();
    may_answer.WaitForNotification();
    return absl::UnavailableError("away");
  });
  std::thread reserver([&] {
    const auto pass = *meter_->Admit({principal, "", ""}, clock_.Now());
    EXPECT_EQ(ReasonOf(pass->Reserve({10, {}})), Reason::DATABASE_UNAVAILABLE);
  });
  reading.WaitForNotification();
  settles_late->Settle({70, {}});
  may_answer.Notify();
  reserver.join();
  spent_.Set([](const Subject&, absl::Time, absl::Time) {
    return Spent{{570, {}}, {670, {}}, {}};
  });
  EXPECT_EQ(meter_->StateOf(KeySubject("key-1"), {})->day.used.tokens, 570);
}

TEST(MeterMemory, RandomAddressesDoNotGrowItWithoutBound) {
  constexpr size_t kSubjectsMax = 1000;
  SubjectTable table(kSubjectsMax);
  for (int i = 0; i < 50'000; ++i) {
    const int64_t now = i;
    SubjectState& state = table.Pin(AddressSubject(absl::StrCat(i)), now);
    state.requests_tat = i % 2 ? now + 1'000'000'000 : now;
    table.Unpin(state);
    ASSERT_LE(table.size(), kSubjectsMax);
  }
  EXPECT_EQ(table.size(), kSubjectsMax);
}

TEST(MeterMemory, IdleSubjectsGoFirstAndThoseUnderWayStay) {
  SubjectTable table(3);
  table.Pin(AddressSubject("under way"), 0);
  SubjectState& busy = table.Pin(AddressSubject("busy"), 0);
  busy.requests_tat = 1000;
  table.Unpin(busy);
  table.Unpin(table.Pin(AddressSubject("idle"), 0));
  table.Unpin(table.Pin(AddressSubject("new"), 500));
  EXPECT_NE(table.Find(AddressSubject("under way")), nullptr);
  EXPECT_NE(table.Find(AddressSubject("busy")), nullptr);
  EXPECT_EQ(table.Find(AddressSubject("idle")), nullptr);
  table.Unpin(table.Pin(AddressSubject("newer"), 1000));
  EXPECT_EQ(table.Find(AddressSubject("busy")), nullptr) << "now it is idle, and oldest";
}

TEST(MeterMemory, RequestsUnderWayMayBeBeyondTheMaximumAndItComesDownAgain) {
  SubjectTable table(2);
  std::vector<SubjectState*> pinned;
  for (int i = 0; i < 10; ++i) pinned.push_back(&table.Pin(AddressSubject(absl::StrCat(i)), 0));
  EXPECT_EQ(table.size(), 10u);
  for (SubjectState* state : pinned) table.Unpin(*state);
  for (int i = 10; i < 20; ++i) table.Unpin(table.Pin(AddressSubject(absl::StrCat(i)), 0));
  EXPECT_EQ(table.size(), 2u);
}

TEST(MeterMemory, ASubjectThatWasForgottenIsReadAgainAndItsBookIsNotMissed) {
  FakeClock clock;
  FakeLimits limits;
  FakeSpent spent;
  Limits quota;
  quota.tokens_per_day = 1000;
  for (const char* tenant : {"a", "b"}) limits.Set(TenantSubject(tenant), quota);
  int64_t in_ledger = 0;
  spent.Set([&](const Subject&, absl::Time, absl::Time) {
    return Spent{{in_ledger, {}}, {in_ledger, {}}, {}};
  });
  const auto meter = Meter::Make(clock, limits, spent, {LimitMode::kEnforce, 1});
  const auto spend = [&](const char* tenant) {
    const Principal principal = PrincipalOf(tenant);
    const auto pass = *meter->Admit({principal, "", ""}, clock.Now());
    EXPECT_TRUE(pass->Reserve({100, {}}).ok());
    pass->Settle({100, {}});
  };
  spend("a");
  in_ledger = 100;
  spend("b");  // and a goes
  EXPECT_EQ(meter->StateOf(TenantSubject("a"), {})->day.used.tokens, 100);
  EXPECT_EQ(spent.asked(), 3);
}

}  // namespace
}  // namespace aibackend::access
