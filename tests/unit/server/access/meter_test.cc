#include "server/access/meter.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/status.h"
#include "tests/unit/server/access/meter_fixture.h"

namespace aibackend::access {
namespace {

using testing::HasSubstr;

TEST_F(MeterTest, WithoutLimitsEverythingPassesAndTheLedgerIsNotAsked) {
  Start();
  const auto pass = Admitted("ann", "10.0.0.1");
  EXPECT_FALSE(pass->rate());
  EXPECT_FALSE(pass->is_metered());
  EXPECT_FALSE(pass->counts_money());
  EXPECT_FALSE(pass->TokensLeft(1));
  EXPECT_TRUE(pass->Reserve(Tokens(1'000'000)).ok());
  pass->Settle(Tokens(5));
  EXPECT_EQ(spent_.asked(), 0);
}

TEST_F(MeterTest, AfterRetryAfterTheSameRequestPassesAndANanosecondSoonerItDoesNot) {
  limits_.Set(KeySubject(kKey), RequestsPerMinute(60));
  Start();
  for (int i = 0; i < 10; ++i) Admitted();
  clock_.Advance(absl::Milliseconds(250));
  const absl::Status refused = Admit().status();
  EXPECT_EQ(ReasonOf(refused), Reason::RATE_LIMITED);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("the key's requests_per_minute (60)"));
  ASSERT_EQ(RetryAfterOf(refused), absl::Milliseconds(750));
  clock_.Advance(absl::Milliseconds(750) - absl::Nanoseconds(1));
  EXPECT_EQ(ReasonOf(Admit().status()), Reason::RATE_LIMITED);
  clock_.Advance(absl::Nanoseconds(1));
  Admitted();
}

TEST_F(MeterTest, RetryAfterIsTheLongestOfTheLimitsThatRefuse) {
  limits_.Set(KeySubject(kKey), RequestsPerMinute(60));
  limits_.Set(TenantSubject(kTenant), RequestsPerMinute(6));
  Start();
  Admitted();
  EXPECT_EQ(RetryAfterOf(Admit().status()), absl::Seconds(10));
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(Admit().ok());
  clock_.Advance(absl::Seconds(10));
  const auto pass = Admitted();
  EXPECT_EQ(pass->rate()->limit, 6) << "the one with the least room";
}

TEST_F(MeterTest, ARequestThatOneSubjectRefusesTakesNothingOfTheOthers) {
  limits_.Set(KeySubject(kKey), RequestsPerMinute(60));
  limits_.Set(UserSubject(kTenant, "ann"), RequestsPerMinute(6));
  limits_.Set(TenantSubject(kTenant), Concurrent(10));
  Start();
  const auto first = Admitted("ann");
  for (int i = 0; i < 50; ++i) EXPECT_FALSE(Admit("ann").ok());
  std::vector<std::shared_ptr<Pass>> others;
  for (int i = 0; i < 9; ++i) others.push_back(Admitted("bob"));
  EXPECT_EQ(StateOf(TenantSubject(kTenant)).concurrent, 10);
  EXPECT_EQ(StateOf(KeySubject(kKey)).concurrent, 10);
  EXPECT_FALSE(Admit("bob").ok()) << "the key's burst of ten is used up, and not sooner";
}

TEST_F(MeterTest, AnAddressIsLimitedWhateverKeysItTries) {
  limits_.Set(AddressSubject("10.0.0.1"), RequestsPerMinute(6));
  Start();
  Admitted("", "10.0.0.1");
  const absl::Status refused = Admit("", "10.0.0.1").status();
  EXPECT_THAT(std::string(refused.message()), HasSubstr("the address's requests_per_minute"));
  Admitted("", "10.0.0.2");
}

TEST_F(MeterTest, WhoIsNobodyCountsAtItsAddressAlone) {
  limits_.Set(AddressSubject("10.0.0.1"), RequestsPerMinute(6));
  limits_.Set(TenantSubject(""), RequestsPerMinute(0));
  Start();
  Principal nobody;
  nobody.tenant.clear();
  EXPECT_TRUE(meter_->Admit({nobody, "", "10.0.0.1"}, clock_.Now()).ok());
  const absl::Status refused = meter_->Admit({nobody, "", "10.0.0.1"}, clock_.Now()).status();
  EXPECT_THAT(std::string(refused.message()), HasSubstr("the address's requests_per_minute"));
}

TEST_F(MeterTest, AKeysOwnLimitsComeBeforeTheDefaultsForKeys) {
  limits_.Set(KeySubject(kKey), RequestsPerMinute(0));
  Start();
  EXPECT_EQ(RetryAfterOf(Admit().status()), absl::Minutes(1)) << "0 lets nothing through";
  Principal principal = PrincipalOf(kTenant, kKey);
  principal.limits = std::make_shared<Limits>(RequestsPerMinute(6));
  EXPECT_TRUE(meter_->Admit({principal, "", ""}, clock_.Now()).ok());
  EXPECT_FALSE(meter_->Admit({principal, "", ""}, clock_.Now()).ok());
}

TEST_F(MeterTest, TheRateSaysWhatIsLeftAndWhenAllOfItIsThereAgain) {
  limits_.Set(KeySubject(kKey), RequestsPerMinute(60));
  Start();
  Admitted();
  const auto pass = Admitted();
  EXPECT_EQ(pass->rate()->limit, 60);
  EXPECT_EQ(pass->rate()->remaining, 8);
  EXPECT_EQ(pass->rate()->reset, absl::Seconds(2));
}

TEST_F(MeterTest, ARefusalSaysTheRateToo) {
  limits_.Set(KeySubject(kKey), RequestsPerMinute(6));
  Start();
  Admitted();
  const absl::Status refused = Admit().status();
  ASSERT_TRUE(RateOf(refused));
  EXPECT_EQ(RateOf(refused)->limit, 6);
  EXPECT_EQ(RateOf(refused)->remaining, 0);
  EXPECT_EQ(RateOf(refused)->reset, absl::Seconds(10));
  EXPECT_FALSE(RateOf(absl::OkStatus()));
}

TEST_F(MeterTest, AClockThatIsSetBackCostsABurstAndNotTheDifference) {
  Limits limits = RequestsPerMinute(60);
  limits.tokens_per_minute = 1000;
  limits_.Set(KeySubject(kKey), limits);
  Start();
  const auto before = Admitted();
  ASSERT_TRUE(before->Reserve(Tokens(600)).ok());
  clock_.Advance(-absl::Hours(1));
  EXPECT_EQ(RetryAfterOf(Admit().status()), absl::Seconds(1));
  clock_.Advance(absl::Seconds(1));
  const auto after = Admitted();
  EXPECT_EQ(RetryAfterOf(after->Reserve(Tokens(500))), absl::Seconds(30));
  clock_.Advance(absl::Seconds(30));
  EXPECT_TRUE(after->Reserve(Tokens(500)).ok());
}

TEST_F(MeterTest, APlaceAmongThoseAtOnceEndsBySettlingOrDropping) {
  limits_.Set(TenantSubject(kTenant), Concurrent(2));
  Start();
  auto first = Admitted();
  auto second = Admitted();
  const absl::Status refused = Admit().status();
  EXPECT_EQ(ReasonOf(refused), Reason::RATE_LIMITED);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("the tenant's concurrent (2)"));
  EXPECT_EQ(RetryAfterOf(refused), absl::Seconds(1));
  first->Settle({});
  first->Settle({});
  auto third = Admitted();
  EXPECT_FALSE(Admit().ok()) << "settling twice ends one place";
  second.reset();
  Admitted();
  first.reset();
  third.reset();
  EXPECT_EQ(StateOf(TenantSubject(kTenant)).concurrent, 0);
}

TEST_F(MeterTest, TokensAMinuteAreTakenByTheBoundAndGivenBackBySettling) {
  limits_.Set(KeySubject(kKey), TokensPerMinute(6000));
  Start();
  const auto first = Admitted();
  EXPECT_TRUE(first->is_metered());
  EXPECT_FALSE(first->counts_money());
  EXPECT_EQ(first->TokensLeft(0), 6000);
  ASSERT_TRUE(first->Reserve(Tokens(5000)).ok());
  EXPECT_EQ(first->reserved().tokens, 5000);
  const auto second = Admitted();
  EXPECT_EQ(second->TokensLeft(0), 6000) << "what the minute has used is only waited for";
  const absl::Status refused = second->Reserve(Tokens(1100));
  EXPECT_EQ(ReasonOf(refused), Reason::RATE_LIMITED);
  EXPECT_EQ(RetryAfterOf(refused), absl::Seconds(1));
  first->Settle(Tokens(400));
  EXPECT_EQ(first->reserved().tokens, 0);
  ASSERT_TRUE(second->Reserve(Tokens(5600)).ok());
  EXPECT_EQ(spent_.asked(), 0) << "a rate is not the ledger's";
}

TEST_F(MeterTest, MoreTokensThanAMinuteBringsAreToldThatTheyNeverFit) {
  limits_.Set(KeySubject(kKey), TokensPerMinute(1000));
  Start();
  const auto pass = Admitted();
  const absl::Status refused = pass->Reserve(Tokens(1001));
  EXPECT_EQ(ReasonOf(refused), Reason::RATE_LIMITED);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("tokens_per_minute (1000) can never"));
  EXPECT_EQ(FieldOf(refused), "");
  EXPECT_EQ(RetryAfterOf(refused), absl::Minutes(1));
  EXPECT_TRUE(pass->Reserve(Tokens(1000)).ok()) << "a refusal has taken nothing";
}

TEST_F(MeterTest, ATokenRateOfOneSubjectThatRefusesLeavesTheOthersAndTheQuotasAsTheyWere) {
  limits_.Set(KeySubject(kKey), TokensPerMinute(1000));
  limits_.Set(UserSubject(kTenant, "ann"), TokensPerDay(5000));
  limits_.Set(TenantSubject(kTenant), TokensPerMinute(100));
  Start();
  const auto pass = Admitted("ann");
  EXPECT_EQ(ReasonOf(pass->Reserve(Tokens(500))), Reason::RATE_LIMITED);
  EXPECT_EQ(StateOf(UserSubject(kTenant, "ann")).day.reserved.tokens, 0);
  limits_.Remove(TenantSubject(kTenant));
  EXPECT_EQ(Admitted("ann")->TokensLeft(0), 1000);
}

TEST_F(MeterTest, ARequestReservesOnce) {
  limits_.Set(KeySubject(kKey), TokensPerDay(1000));
  Start();
  const auto pass = Admitted();
  ASSERT_TRUE(pass->Reserve(Tokens(100)).ok());
  EXPECT_EQ(ReasonOf(pass->Reserve(Tokens(100))), Reason::INTERNAL);
  pass->Settle(Tokens(10));
  EXPECT_EQ(ReasonOf(pass->Reserve(Tokens(100))), Reason::INTERNAL);
  EXPECT_EQ(pass->TokensLeft(0), 0);
  EXPECT_EQ(StateOf(KeySubject(kKey)).day.reserved.tokens, 0);
}

TEST_F(MeterTest, InShadowModeNothingIsRefusedAndTheFirstLimitIsNamed) {
  Limits key = RequestsPerMinute(6);
  key.tokens_per_day = 100;
  limits_.Set(KeySubject(kKey), key);
  limits_.Set(TenantSubject(kTenant), MoneyPerMonth(50));
  Start({LimitMode::kShadow});
  const auto first = Admitted();
  EXPECT_EQ(first->shadow_limit(), "");
  EXPECT_FALSE(first->TokensLeft(1));
  ASSERT_TRUE(first->Reserve({90, {60}}).ok());
  EXPECT_EQ(first->shadow_limit(), "tenant.nano_usd_per_month");
  const auto second = Admitted();
  EXPECT_EQ(second->shadow_limit(), "key.requests_per_minute");
  ASSERT_TRUE(second->Reserve({90, {0}}).ok());
  EXPECT_EQ(second->shadow_limit(), "key.requests_per_minute") << "the first that refuses";
  const QuotaState running = StateOf(KeySubject(kKey));
  EXPECT_EQ(running.concurrent, 2);
  EXPECT_EQ(running.day.reserved.tokens, 180);
  first->Settle({80, {40}});
  second->Settle({70, {0}});
  EXPECT_EQ(StateOf(KeySubject(kKey)).day.used.tokens, 150);
  EXPECT_EQ(StateOf(TenantSubject(kTenant)).month.used.money.value, 40);
}

TEST_F(MeterTest, ShadowModeNamesTheRequestsThatEnforcingWouldRefuse) {
  limits_.Set(KeySubject(kKey), RequestsPerMinute(60));
  Start({LimitMode::kShadow});
  int named = 0;
  for (int i = 0; i < 120; ++i) {  // twice the rate, for a minute
    named += !Admitted()->shadow_limit().empty();
    clock_.Advance(absl::Milliseconds(500));
  }
  const int shadow_named = named;
  Start({LimitMode::kEnforce});
  int refused = 0;
  for (int i = 0; i < 120; ++i) {
    refused += !Admit().ok();
    clock_.Advance(absl::Milliseconds(500));
  }
  EXPECT_EQ(shadow_named, refused);
  EXPECT_EQ(refused, 51) << "all but a minute's 60 and what remains of a burst of ten";
}

TEST_F(MeterTest, InShadowModeADatabaseThatIsAwayRefusesNobody) {
  limits_.Set(KeySubject(kKey), TokensPerDay(1000));
  limits_.Set(TenantSubject(kTenant), TokensPerDay(1000));
  spent_.Set([](const Subject&, absl::Time, absl::Time) { return absl::UnavailableError("away"); });
  Start({LimitMode::kShadow});
  const auto pass = Admitted();
  EXPECT_TRUE(pass->Reserve(Tokens(5000)).ok());
  pass->Settle(Tokens(5000));
  EXPECT_EQ(pass->shadow_limit(), "");
}

TEST_F(MeterTest, OffMeansThatNothingIsCountedAndTheStateIsTheLedgers) {
  limits_.Set(KeySubject(kKey), RequestsPerMinute(0));
  spent_.Set([](const Subject&, absl::Time, absl::Time) {
    return Spent{Tokens(5), Tokens(9), {}};
  });
  Start({LimitMode::kOff});
  const auto pass = Admitted();
  EXPECT_FALSE(pass->is_metered());
  EXPECT_TRUE(pass->Reserve(Tokens(100)).ok());
  pass->Settle(Tokens(100));
  EXPECT_EQ(StateOf(KeySubject(kKey)).day.used.tokens, 5);
  EXPECT_EQ(StateOf(KeySubject(kKey)).month.used.tokens, 9);
  EXPECT_EQ(spent_.asked(), 2);
}

}  // namespace
}  // namespace aibackend::access
