#include "server/access/gcra.h"

#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace aibackend::access {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kNow = 1'700'000'000 * kSecond;

// How many of `cost` conform at `now`, one after the other.
int64_t Burst(const Gcra& rate, int64_t& tat, int64_t now, int64_t cost) {
  int64_t taken = 0;
  for (; rate.WaitFor(tat, now, cost) == 0; ++taken) tat = Gcra::Take(tat, now, cost);
  return taken;
}

TEST(Gcra, TenSecondsWorthMayComeAtOnceAndThenOneByOneEvenly) {
  const Gcra rate = Gcra::OfRequests(60);
  const int64_t cost = rate.CostOf(1);
  EXPECT_EQ(cost, kSecond);
  int64_t tat = 0;
  EXPECT_EQ(Burst(rate, tat, kNow, cost), 10);
  for (int64_t i = 1; i <= 100; ++i) {
    EXPECT_EQ(Burst(rate, tat, kNow + i * kSecond - 1, cost), 0);
    EXPECT_EQ(Burst(rate, tat, kNow + i * kSecond, cost), 1);
  }
}

TEST(Gcra, ASlowRateLetsOneThroughAtATime) {
  const Gcra rate = Gcra::OfRequests(1);
  int64_t tat = 0;
  EXPECT_EQ(Burst(rate, tat, kNow, rate.CostOf(1)), 1);
  EXPECT_EQ(rate.WaitFor(tat, kNow, rate.CostOf(1)), 60 * kSecond);
}

TEST(Gcra, TheWaitIsExactToTheNanosecondForRatesThatDontDivideAMinute) {
  std::mt19937 random(17);
  for (int round = 0; round < 2000; ++round) {
    const int64_t limit = 1 + random() % (round % 2 ? 1000 : 100'000'000);
    const bool is_tokens = round % 3 == 0;
    const Gcra rate = is_tokens ? Gcra::OfTokens(limit) : Gcra::OfRequests(limit);
    const int64_t cost = rate.CostOf(is_tokens ? 1 + random() % limit : 1);
    int64_t now = kNow;
    int64_t tat = 0;
    for (int i = 0; i < 20; ++i) {
      now += random() % (2 * cost);
      const int64_t wait = rate.WaitFor(tat, now, cost);
      ASSERT_NE(wait, Gcra::kNever);
      if (wait > 0) {
        ASSERT_GT(rate.WaitFor(tat, now + wait - 1, cost), 0) << "limit " << limit;
        ASSERT_EQ(rate.WaitFor(tat, now + wait, cost), 0) << "limit " << limit;
        now += wait;
      }
      tat = Gcra::Take(tat, now, cost);
    }
  }
}

TEST(Gcra, NoMoreThanTheLimitAndOneBurstPassInAnyMinute) {
  for (const int64_t limit : {1, 7, 59, 60, 61, 700, 7'000'003}) {
    const Gcra rate = Gcra::OfRequests(limit);
    const int64_t cost = rate.CostOf(1);
    EXPECT_GE(cost * limit, 60 * kSecond) << "a rate that is rounded must not be faster";
    EXPECT_EQ(rate.RoomAt(0, kNow) / cost, std::max<int64_t>(1, limit / 6));
  }
}

TEST(Gcra, AMinutesWorthOfTokensFitsAtOnceAndNotOneMore) {
  for (const int64_t limit : {1, 7, 1000, 999'983, 2'000'000'011}) {
    const Gcra rate = Gcra::OfTokens(limit);
    EXPECT_EQ(rate.WaitFor(0, kNow, rate.CostOf(limit)), 0);
    EXPECT_EQ(rate.UnitsIn(rate.RoomAt(0, kNow)), limit);
    EXPECT_EQ(rate.WaitFor(0, kNow, rate.CostOf(limit) + 1), Gcra::kNever);
    const int64_t tat = Gcra::Take(0, kNow, rate.CostOf(limit / 3));
    const int64_t room = rate.UnitsIn(rate.RoomAt(tat, kNow));
    EXPECT_EQ(rate.WaitFor(tat, kNow, rate.CostOf(room)), 0) << "what is said to fit fits";
    EXPECT_GT(rate.WaitFor(tat, kNow, rate.CostOf(room + 1)), 0);
  }
}

TEST(Gcra, ALimitOfNoughtLetsNothingThrough) {
  for (const Gcra& rate : {Gcra::OfRequests(0), Gcra::OfTokens(0)}) {
    EXPECT_EQ(rate.WaitFor(0, kNow, rate.CostOf(1)), Gcra::kNever);
    EXPECT_EQ(rate.WaitFor(0, kNow, 0), Gcra::kNever);
    EXPECT_EQ(rate.UnitsIn(rate.RoomAt(0, kNow)), 0);
  }
}

TEST(Gcra, NothingWrapsAtTheGreatestNumbers) {
  const Gcra slow = Gcra::OfTokens(1);
  int64_t tat = kNow;
  for (int i = 0; i < 4; ++i) tat = Gcra::Take(tat, kNow, slow.CostOf(INT64_MAX));
  EXPECT_EQ(tat, INT64_MAX);
  EXPECT_GT(slow.WaitFor(tat, kNow, slow.CostOf(1)), 0);
  const Gcra quick = Gcra::OfRequests(INT64_MAX);
  EXPECT_EQ(quick.WaitFor(0, kNow, quick.CostOf(1)), 0);
}

TEST(TokenBucket, WhatWasNotUsedComesBackAtOnce) {
  TokenBucket bucket;
  const auto charge = bucket.Take(kNow, 60 * kSecond);
  bucket.Correct(charge, kNow, 6 * kSecond);
  EXPECT_EQ(bucket.tat(), kNow + 6 * kSecond);
}

TEST(TokenBucket, WhatWasUsedBeyondTheBoundIsTakenToo) {
  TokenBucket bucket;
  const auto charge = bucket.Take(kNow, 10 * kSecond);
  bucket.Correct(charge, kNow + kSecond, 15 * kSecond);
  EXPECT_EQ(bucket.tat(), kNow + 15 * kSecond);
}

TEST(TokenBucket, OfWhatIsBeyondTheBoundNoMoreIsTakenThanIsThere) {
  TokenBucket bucket;
  const auto charge = bucket.Take(kNow, 10 * kSecond);
  bucket.Correct(charge, kNow + kSecond, 3600 * kSecond);
  EXPECT_EQ(bucket.tat(), kNow + 61 * kSecond);
}

TEST(TokenBucket, WhatHasDrainedIsNotGivenBackASecondTime) {
  TokenBucket bucket;
  const auto first = bucket.Take(kNow, 60 * kSecond);
  const int64_t later = kNow + 61 * kSecond;  // the first has drained
  const auto second = bucket.Take(later, 60 * kSecond);
  bucket.Correct(first, later, 0);
  EXPECT_EQ(bucket.tat(), later + 60 * kSecond) << "a third request must not fit";
  bucket.Correct(second, later, 0);
  EXPECT_EQ(bucket.tat(), later);
}

// Against what would have been had each request cost what it did from the beginning.
TEST(TokenBucket, NeverGivesBackMoreThanTheBoundsHeldUp) {
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    std::mt19937 random(seed);
    struct Request {
      int64_t at, upper, actual, ends;
      TokenBucket::Charge charge;
    };
    std::vector<Request> requests(20);
    TokenBucket bucket;
    int64_t now = kNow;
    int64_t as_if = 0;  // TAT, had the actual costs been taken
    for (size_t i = 0; i < requests.size(); ++i) {
      now += random() % (20 * kSecond);
      for (Request& one : requests) {
        if (one.at == 0 || one.ends == 0 || one.ends > now) continue;
        bucket.Correct(one.charge, one.ends, one.actual);
        one.ends = 0;
      }
      Request& one = requests[i];
      one = {now, 1 + static_cast<int64_t>(random() % (30 * kSecond)), 0, 0, {}};
      one.actual = random() % (one.upper + 1);
      one.ends = now + 1 + random() % (90 * kSecond);
      one.charge = bucket.Take(now, one.upper);
      as_if = Gcra::Take(as_if, now, one.actual);
      ASSERT_GE(bucket.tat(), as_if) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace aibackend::access
