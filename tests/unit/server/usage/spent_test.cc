#include "server/usage/spent.h"

#include <atomic>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "server/base/status.h"
#include "server/usage/rollup.h"
#include "tests/unit/server/usage/ledger_fixture.h"
#include "tests/unit/server/usage/plan_watch.h"

namespace aibackend::usage {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr int64_t kToday = 19'700;  // since 1970
constexpr absl::Duration kDay = absl::Hours(24);

class SpentTest : public LedgerFixture {
 protected:
  static absl::Time At(int64_t day) { return absl::UnixEpoch() + day * kDay; }

  static SpentQuery Query() {
    SpentQuery query;
    query.day = At(kToday);
    query.month = At(kToday - 10);
    query.now = At(kToday) + absl::Hours(12);
    return query;
  }
  static SpentQuery OfTenant(const std::string& tenant) {
    SpentQuery query = Query();
    query.tenant = tenant;
    return query;
  }

  static RequestRow Used(const std::string& id, absl::Time at, int tokens, int64_t money) {
    RequestRow row = Row(id, RequestStatus::kOk);
    row.created_at = at;
    row.tenant = "acme";
    row.key_id = "key";
    row.prompt_tokens = tokens - 1;
    row.completion_tokens = 1;
    row.cost = NanoUsd{money};
    return row;
  }

  // As a roll-up would write it: once in each grain.
  void Rolled(const std::string& tenant, int64_t day, const std::string& user,
              const std::string& key, int tokens, int money) {
    for (const int grain : kGrains) {
      const auto told = [grain](int bit, const std::string& value) {
        return (grain & bit) != 0 ? value : std::string();
      };
      Execute(absl::StrCat(
          "INSERT INTO usage_daily (grain, day, tenant, model, user_id, key_id, endpoint, requests,"
          " errors, cancelled, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens,"
          " cost_nano_usd, price_unknown, latency, ttft) VALUES (",
          grain, ", ", day, ", '", tenant, "', '", told(kGrainModel, "m"), "', '",
          told(kGrainUser, user), "', '", told(kGrainKey, key), "', '",
          told(kGrainEndpoint, "Chat"), "', 1, 0, 0, ", tokens, ", 0, 0, 0, ", money,
          ", 0, x'', x'') ON CONFLICT DO UPDATE SET"
          " prompt_tokens = usage_daily.prompt_tokens + excluded.prompt_tokens,"
          " cost_nano_usd = usage_daily.cost_nano_usd + excluded.cost_nano_usd"));
    }
  }

  SpentTotals Spent(const SpentQuery& query) {
    const auto spent = ledger_->SpentSince(query);
    EXPECT_TRUE(spent.ok()) << spent.status();
    return spent.value_or(SpentTotals());
  }
};

TEST_F(SpentTest, NothingIsZero) {
  const SpentTotals spent = Spent(OfTenant("acme"));
  EXPECT_EQ(spent.day.tokens, 0);
  EXPECT_EQ(spent.month.money, NanoUsd{0});
  EXPECT_THAT(spent.held, IsEmpty());
}

TEST_F(SpentTest, WhatEndedBeforeTheCallCountsAlthoughItWaits) {
  ledger_->End(Used("a", At(kToday), 10, 100));
  const SpentTotals spent = Spent(OfTenant("acme"));
  EXPECT_EQ(spent.day.tokens, 10);
  EXPECT_EQ(spent.day.money, NanoUsd{100});
}

TEST_F(SpentTest, TotalsAndRowsThatAreNotInThemAddUp) {
  Rolled("acme", kToday, "user", "key", 1, 10);
  Rolled("acme", kToday - 10, "user", "key", 2, 20);
  Rolled("acme", kToday - 11, "user", "key", 4, 40);  // of the month before
  ledger_->End(Used("today", At(kToday), 8, 80));
  ledger_->End(Used("month", At(kToday - 10), 16, 160));
  ledger_->End(Used("before", At(kToday - 10) - absl::Microseconds(1), 32, 320));
  ledger_->End(Used("counted", At(kToday), 64, 640));
  RequestRow unknown = Used("unknown", At(kToday), 128, 1280);
  unknown.price_unknown = true;
  ledger_->End(unknown);
  RequestRow running = Used("running", At(kToday), 256, 2560);
  running.status = RequestStatus::kRunning;
  ledger_->Begin(running);
  Flush();
  Execute("UPDATE requests SET rolled = 1 WHERE row_id = 'counted'");
  const SpentTotals spent = Spent(OfTenant("acme"));
  EXPECT_EQ(spent.day.tokens, 1 + 8 + 128);
  EXPECT_EQ(spent.day.money, NanoUsd{10 + 80});
  EXPECT_EQ(spent.month.tokens, 1 + 2 + 8 + 16 + 128);
  EXPECT_EQ(spent.month.money, NanoUsd{10 + 20 + 80 + 160});
}

TEST_F(SpentTest, ASubjectIsATenantAUserOfItOrAKey) {
  Rolled("acme", kToday, "ann", "k1", 1, 0);
  Rolled("acme", kToday, "bob", "k2", 2, 0);
  Rolled("other", kToday, "ann", "k1", 4, 0);
  Rolled("third", kToday, "ann", "k3", 8, 0);
  int id = 0;
  for (const auto& [tenant, user, key, tokens] :
       {std::tuple{"acme", "ann", "k1", 10}, std::tuple{"acme", "bob", "k2", 20},
        std::tuple{"other", "ann", "k1", 40}, std::tuple{"third", "ann", "", 80}}) {
    RequestRow row = Used(absl::StrCat(id++), At(kToday), tokens, 0);
    row.tenant = tenant;
    row.user_id = user;
    row.key_id = key;
    ledger_->End(row);
  }
  EXPECT_EQ(Spent(OfTenant("acme")).day.tokens, 33);
  SpentQuery user = OfTenant("acme");
  user.user_id = "ann";
  EXPECT_EQ(Spent(user).day.tokens, 11);
  SpentQuery key = Query();
  key.key_id = "k1";
  EXPECT_EQ(Spent(key).day.tokens, 55);
}

TEST_F(SpentTest, WhatAKilledProcessReservedIsHeldUntilItsLeaseEnds) {
  RequestRow row = Used("killed", At(kToday), 1, 0);
  row.status = RequestStatus::kRunning;
  row.reserved_tokens = 500;
  row.reserved_money = NanoUsd{700};
  ledger_->Begin(row);
  Flush();
  SpentQuery query = OfTenant("acme");
  EXPECT_THAT(Spent(query).held, IsEmpty());  // it runs: the one that runs it counts it
  ASSERT_EQ(*ledger_->RecoverInterrupted(query.now, absl::Minutes(10)), 1);
  query.now += absl::Minutes(10) - absl::Microseconds(1);
  const auto held = Spent(query).held;
  ASSERT_EQ(held.size(), 1u);
  EXPECT_EQ(held[0].created_at, row.created_at);
  EXPECT_EQ(held[0].until, query.now + absl::Microseconds(1));
  EXPECT_EQ(held[0].amount.tokens, 500);
  EXPECT_EQ(held[0].amount.money, NanoUsd{700});
  SpentQuery other = OfTenant("other");
  EXPECT_THAT(Spent(other).held, IsEmpty());
  query.now += absl::Microseconds(1);
  EXPECT_THAT(Spent(query).held, IsEmpty());
}

TEST_F(SpentTest, WhatIsNotWrittenInTimeIsAnErrorNotASmallerSum) {
  Start(kByHand, [] {
    Ledger::Options options;
    options.settle_wait = absl::Milliseconds(1);
    return options;
  }());
  absl::Notification taken, go_on;
  ASSERT_TRUE(writer_->Enqueue([&](storage::Session&) {
    if (!taken.HasBeenNotified()) taken.Notify();
    go_on.WaitForNotification();
    return absl::OkStatus();
  }));
  ledger_->End(Used("a", At(kToday), 10, 100));
  EXPECT_EQ(ReasonOf(ledger_->SpentSince(OfTenant("acme")).status()), Reason::DATABASE_UNAVAILABLE);
  go_on.Notify();
  Flush();
  EXPECT_EQ(Spent(OfTenant("acme")).day.tokens, 10);
}

TEST_F(SpentTest, ARollUpInBetweenNeitherDoublesNorLosesARow) {
  constexpr int kRows = 200;
  for (int i = 0; i < kRows; ++i) ledger_->End(Used(absl::StrCat(i), At(kToday), 1, 1));
  Flush();
  std::atomic<bool> done{false};
  std::thread rolling([&] {
    for (int i = 0; i < kRows; ++i) {
      EXPECT_TRUE(database_
                      ->Write([](storage::Session& session) {
                        return RollUp(session, /*rows_max=*/1).status();
                      })
                      .ok());
    }
    done = true;
  });
  int asked = 0;
  while (!done || asked == 0) {
    ASSERT_EQ(Spent(OfTenant("acme")).day.tokens, kRows);
    ++asked;
  }
  rolling.join();
  EXPECT_EQ(Spent(OfTenant("acme")).day.tokens, kRows);
}

TEST_F(SpentTest, NoStatementReadsTheWholeLedger) {
  PlanWatch plans(*database_);
  SpentQuery user = OfTenant("acme");
  user.user_id = "ann";
  SpentQuery key = Query();
  key.key_id = "k";
  const std::pair<SpentQuery, const char*> cases[] = {
      {OfTenant("acme"),
       "PRIMARY KEY (grain=? AND day=? AND tenant=? AND model=? AND user_id=? AND key_id=?"},
      {user, "PRIMARY KEY (grain=? AND day=? AND tenant=? AND model=? AND user_id=? AND key_id=?"},
      {key, "usage_daily_of_key (key_id=? AND day=?"}};
  for (const auto& [query, step] : cases) {
    ASSERT_TRUE(plans
                    .Read([&, &query = query](storage::Session& session) {
                      return ReadSpent(session, query).status();
                    })
                    .ok());
    const std::string plan = plans.Take();
    EXPECT_THAT(plan, Not(HasSubstr("SCAN requests"))) << plan;
    EXPECT_THAT(plan, HasSubstr("requests_rolled (rolled=?")) << plan;
    EXPECT_THAT(plan, HasSubstr("requests_held (reserved_until>?")) << plan;
    EXPECT_THAT(plan, HasSubstr(step)) << plan;
    EXPECT_THAT(plan, Not(HasSubstr("SCAN"))) << plan;
  }
}

}  // namespace
}  // namespace aibackend::usage
