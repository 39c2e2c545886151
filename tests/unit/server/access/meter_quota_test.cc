// Quotas: tokens and money of days and months.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/status.h"
#include "tests/unit/server/access/meter_fixture.h"

namespace aibackend::access {
namespace {

using testing::HasSubstr;
using MeterQuotaTest = MeterTest;

TEST_F(MeterQuotaTest, AQuotaCountsWhatWasUsedBeforeWhatIsReservedAndWhatIsAsked) {
  limits_.Set(KeySubject(kKey), TokensPerDay(100'000));
  spent_.Set([](const Subject&, absl::Time day, absl::Time month) {
    EXPECT_EQ(absl::FormatTime(day, absl::UTCTimeZone()), "2023-11-14T00:00:00+00:00");
    EXPECT_EQ(absl::FormatTime(month, absl::UTCTimeZone()), "2023-11-01T00:00:00+00:00");
    return Spent{Tokens(98'000), Tokens(400'000), {}};
  });
  Start();
  const auto first = Admitted();
  EXPECT_EQ(first->TokensLeft(0), 2000);
  ASSERT_TRUE(first->Reserve(Tokens(1500)).ok());
  const auto second = Admitted();
  const absl::Status refused = second->Reserve(Tokens(501));
  EXPECT_EQ(ReasonOf(refused), Reason::QUOTA_EXCEEDED);
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("the key's tokens_per_day (100000) is used up: 98000 used, 1500 reserved"));
  EXPECT_EQ(RetryAfterOf(refused), absl::Seconds(1)) << "the first may give back";
  EXPECT_TRUE(second->Reserve(Tokens(500)).ok()) << "exactly to the cap";
  first->Settle(Tokens(1000));
  second->Settle(Tokens(300));
  EXPECT_EQ(StateOf(KeySubject(kKey)).day.used.tokens, 99'300);
  EXPECT_EQ(StateOf(KeySubject(kKey)).month.used.tokens, 401'300);
  EXPECT_EQ(StateOf(KeySubject(kKey)).day.reserved.tokens, 0);
  EXPECT_EQ(spent_.asked(), 1);
}

TEST_F(MeterQuotaTest, WhatIsUsedUpComesBackAtMidnight) {
  limits_.Set(KeySubject(kKey), TokensPerDay(1000));
  Start();
  const auto first = Admitted();
  ASSERT_TRUE(first->Reserve(Tokens(1000)).ok());
  first->Settle(Tokens(1000));
  const absl::Status refused = Admitted()->Reserve(Tokens(1));
  const absl::Duration to_midnight = absl::Hours(1) + absl::Minutes(46) + absl::Seconds(40);
  ASSERT_EQ(RetryAfterOf(refused), to_midnight);
  clock_.Advance(to_midnight - absl::Nanoseconds(1));
  EXPECT_FALSE(Admitted()->Reserve(Tokens(1)).ok());
  clock_.Advance(absl::Nanoseconds(1));
  EXPECT_TRUE(Admitted()->Reserve(Tokens(1000)).ok());
  EXPECT_EQ(spent_.asked(), 1) << "a day that begins while we look begins at nought";
}

TEST_F(MeterQuotaTest, ARequestOfYesterdayThatSettlesTodayCountsToYesterday) {
  limits_.Set(KeySubject(kKey), TokensPerDay(1000));
  Start();
  const auto late = Admitted();
  ASSERT_TRUE(late->Reserve(Tokens(900)).ok());
  clock_.Advance(absl::Hours(3));
  const auto today = Admitted();
  EXPECT_EQ(today->TokensLeft(0), 1000);
  late->Settle(Tokens(800));
  EXPECT_EQ(today->TokensLeft(0), 1000);
  const QuotaState state = StateOf(KeySubject(kKey));
  EXPECT_EQ(state.day.used.tokens, 0);
  EXPECT_EQ(state.month.used.tokens, 800) << "of the month they both are";
}

TEST_F(MeterQuotaTest, ADayThatIsMetAfterItEndedIsReadForItself) {
  limits_.Set(KeySubject(kKey), TokensPerDay(1000));
  spent_.Set([](const Subject&, absl::Time day, absl::Time) {
    const bool is_14th = absl::ToCivilDay(day, absl::UTCTimeZone()).day() == 14;
    return Spent{Tokens(is_14th ? 700 : 40), Tokens(740), {}};
  });
  Start();
  const auto late = Admitted();
  clock_.Advance(absl::Hours(3));
  const auto today = Admitted();
  EXPECT_EQ(today->TokensLeft(0), 960);
  EXPECT_EQ(late->TokensLeft(0), 300);
  ASSERT_TRUE(late->Reserve(Tokens(300)).ok());
  EXPECT_FALSE(Admitted()->Reserve(Tokens(961)).ok());
  EXPECT_EQ(spent_.asked(), 2);
}

TEST_F(MeterQuotaTest, MonthsEndWithTheirMonth) {
  limits_.Set(TenantSubject(kTenant), MoneyPerMonth(1'000'000));
  Start();
  const auto first = Admitted();
  EXPECT_TRUE(first->counts_money());
  ASSERT_TRUE(first->Reserve({10, {1'000'000}}).ok());
  first->Settle({10, {1'000'000}});
  const absl::Status refused = Admitted()->Reserve({0, {1}});
  EXPECT_THAT(std::string(refused.message()), HasSubstr("the tenant's nano_usd_per_month"));
  const absl::Time december = absl::FromCivil(absl::CivilMonth(2023, 12), absl::UTCTimeZone());
  ASSERT_EQ(RetryAfterOf(refused), december - clock_.Now());
  clock_.Advance(december - clock_.Now());
  EXPECT_TRUE(Admitted()->Reserve({0, {1'000'000}}).ok());
}

TEST_F(MeterQuotaTest, WhatAKilledProcessHeldCountsUntilItsLeaseEnds) {
  limits_.Set(KeySubject(kKey), TokensPerDay(1000));
  const absl::Time start = clock_.Now();
  spent_.Set([start](const Subject&, absl::Time, absl::Time) {
    return Spent{Tokens(100),
                 Tokens(100),
                 {{start - absl::Seconds(5), start + absl::Seconds(30), Tokens(500)},
                  {start - absl::Seconds(5), start + absl::Seconds(90), Tokens(300)},
                  {start - absl::Hours(26), start + absl::Hours(1), Tokens(250)}}};
  });
  Start();
  const auto pass = Admitted();
  EXPECT_EQ(pass->TokensLeft(0), 100);
  EXPECT_EQ(StateOf(KeySubject(kKey)).day.reserved.tokens, 800);
  EXPECT_EQ(StateOf(KeySubject(kKey)).month.reserved.tokens, 1050);
  const absl::Status refused = pass->Reserve(Tokens(600));
  EXPECT_EQ(ReasonOf(refused), Reason::QUOTA_EXCEEDED);
  ASSERT_EQ(RetryAfterOf(refused), absl::Seconds(30));
  clock_.Advance(absl::Seconds(30) - absl::Nanoseconds(1));
  EXPECT_FALSE(pass->Reserve(Tokens(600)).ok());
  clock_.Advance(absl::Nanoseconds(1));
  EXPECT_TRUE(pass->Reserve(Tokens(600)).ok());
}

TEST_F(MeterQuotaTest, DroppingARequestGivesAllBackAndCountsNothing) {
  Limits limits = TokensPerDay(1000);
  limits.tokens_per_minute = 1000;
  limits_.Set(KeySubject(kKey), limits);
  Start();
  auto pass = Admitted();
  ASSERT_TRUE(pass->Reserve(Tokens(1000)).ok());
  EXPECT_EQ(StateOf(KeySubject(kKey)).day.reserved.tokens, 1000);
  EXPECT_EQ(StateOf(KeySubject(kKey)).concurrent, 1);
  pass.reset();
  const QuotaState state = StateOf(KeySubject(kKey));
  EXPECT_EQ(state.day.reserved.tokens, 0);
  EXPECT_EQ(state.day.used.tokens, 0);
  EXPECT_EQ(state.concurrent, 0);
  EXPECT_TRUE(Admitted()->Reserve(Tokens(1000)).ok());
}

TEST_F(MeterQuotaTest, ARequestThatNeverReservedOrHadNoLimitCountsWhereTheSubjectIsKnown) {
  limits_.Set(KeySubject(kKey), TokensPerDay(1000));
  Start();
  EXPECT_TRUE(Admitted()->Reserve(Tokens(1)).ok());
  const auto unreserved = Admitted();
  unreserved->Settle(Tokens(200));
  limits_.Remove(KeySubject(kKey));
  const auto unlimited = Admitted();
  EXPECT_FALSE(unlimited->is_metered());
  unlimited->Settle(Tokens(300));
  limits_.Set(KeySubject(kKey), TokensPerDay(1000));
  EXPECT_EQ(Admitted()->TokensLeft(0), 500);
  EXPECT_EQ(spent_.asked(), 1);
}

TEST_F(MeterQuotaTest, WhatCostsMoreThanItsBoundCountsInFull) {
  limits_.Set(KeySubject(kKey), TokensPerDay(1000));
  Start();
  const auto pass = Admitted();
  ASSERT_TRUE(pass->Reserve(Tokens(100)).ok());
  pass->Settle(Tokens(1500));
  EXPECT_EQ(StateOf(KeySubject(kKey)).day.used.tokens, 1500);
  EXPECT_EQ(Admitted()->TokensLeft(0), 0);
}

TEST_F(MeterQuotaTest, TokensLeftAreTheFewestOfAllLimitsAndOfWhatTheMoneyBuys) {
  Limits key = TokensPerDay(50'000);
  key.tokens_per_month = 40'000;
  limits_.Set(KeySubject(kKey), key);
  limits_.Set(TenantSubject(kTenant), MoneyPerMonth(7'000));
  Start();
  const auto pass = Admitted();
  EXPECT_EQ(pass->TokensLeft(0), 40'000);
  EXPECT_EQ(pass->TokensLeft(1'000'000), 7000);
  EXPECT_EQ(pass->TokensLeft(300'000), 23'333);
  EXPECT_EQ(pass->TokensLeft(1), 40'000);
}

TEST_F(MeterQuotaTest, ALimitOfNoughtRefusesWhateverItCosts) {
  limits_.Set(KeySubject(kKey), MoneyPerMonth(0));
  Start();
  const auto pass = Admitted();
  EXPECT_EQ(pass->TokensLeft(0), 0);
  EXPECT_EQ(ReasonOf(pass->Reserve({10, {0}})), Reason::QUOTA_EXCEEDED);
}

TEST_F(MeterQuotaTest, WithTheDatabaseAwayOnlyWhoHasAQuotaIsRefused) {
  limits_.Set(KeySubject(kKey), TokensPerDay(1000));
  limits_.Set(TenantSubject(kTenant), TokensPerMinute(1000));
  spent_.Set([](const Subject&, absl::Time, absl::Time) {
    return absl::UnavailableError("the file is locked");
  });
  Start();
  const auto pass = Admitted();
  const absl::Status refused = pass->Reserve(Tokens(10));
  EXPECT_EQ(ReasonOf(refused), Reason::DATABASE_UNAVAILABLE);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("the key has used"));
  EXPECT_FALSE(pass->TokensLeft(0)) << "what isn't known makes no answer shorter";
  EXPECT_EQ(ReasonOf(meter_->StateOf(KeySubject(kKey), {}).status()), Reason::DATABASE_UNAVAILABLE);

  const Principal other = PrincipalOf(kTenant);
  const auto without = meter_->Admit({other, "", ""}, clock_.Now());
  ASSERT_TRUE(without.ok());
  EXPECT_TRUE((*without)->Reserve(Tokens(1000)).ok()) << "the refused one took nothing";

  spent_.Set(nullptr);
  clock_.Advance(absl::Minutes(1));
  EXPECT_TRUE(pass->Reserve(Tokens(10)).ok());
}

TEST_F(MeterQuotaTest, TheStateOfASubjectShowsItsWindows) {
  limits_.Set(KeySubject(kKey), TokensPerDay(1000));
  Start();
  const auto state = meter_->StateOf(KeySubject(kKey), TokensPerDay(1000));
  ASSERT_TRUE(state.ok());
  EXPECT_EQ(state->limits.tokens_per_day, 1000);
  EXPECT_EQ(absl::FormatTime(state->day.start, absl::UTCTimeZone()), "2023-11-14T00:00:00+00:00");
  EXPECT_EQ(state->day.end - state->day.start, absl::Hours(24));
  EXPECT_EQ(absl::FormatTime(state->month.end, absl::UTCTimeZone()), "2023-12-01T00:00:00+00:00");
}

TEST_F(MeterQuotaTest, AnAddressHasNoQuotasAndTheLedgerIsNotAskedForIt) {
  limits_.Set(AddressSubject("10.0.0.1"), TokensPerDay(0));
  Start();
  EXPECT_FALSE(Admitted("", "10.0.0.1")->is_metered());
  EXPECT_EQ(StateOf(AddressSubject("10.0.0.1")).day.used.tokens, 0);
  EXPECT_EQ(spent_.asked(), 0);
}

}  // namespace
}  // namespace aibackend::access
