#include "server/usage/rollup.h"

#include <algorithm>
#include <atomic>
#include <random>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "server/base/status.h"
#include "server/usage/histogram.h"
#include "tests/unit/server/usage/ledger_rows.h"
#include "tests/unit/temp_folder.h"

namespace aibackend::usage {
namespace {

using storage::Session;
using ::testing::ElementsAre;
using ::testing::Gt;
using ::testing::IsEmpty;

constexpr absl::Duration kPatience = absl::Minutes(1);  // never reached by a test that passes
constexpr absl::Duration kNever = absl::Hours(10);

// A database whose writes a test refuses or holds up.
class FaultyDatabase final : public storage::Database {
 public:
  explicit FaultyDatabase(storage::Database& database) : database_(database) {}
  absl::Status Read(absl::FunctionRef<absl::Status(Session&)> work) override {
    return database_.Read(work);
  }
  absl::Status Write(absl::FunctionRef<absl::Status(Session&)> work) override {
    if (held_up_by != nullptr) held_up_by->WaitForNotification();
    if (is_away) return MakeError(Reason::DATABASE_UNAVAILABLE, "away");
    return database_.Write(work);
  }

  std::atomic<bool> is_away{false};
  absl::Notification* held_up_by = nullptr;

 private:
  storage::Database& database_;
};

class RollupTest : public ::testing::Test {
 protected:
  RollupTest() : database_(*storage::OpenSqlite(folder_.File("test.sqlite"))) {}

  RequestRow Row(const std::string& id, RequestStatus status = RequestStatus::kOk) {
    RequestRow row;
    row.row_id = id;
    row.created_at = absl::FromCivil(absl::CivilHour(2026, 11, 30, 12), absl::UTCTimeZone());
    row.endpoint = "Chat";
    row.user_id = "ann";
    row.model = "m";
    row.status = status;
    row.key_id = "key_1";
    return row;
  }
  int Roll(int rows_max = Rollup::kRowsMax) {
    int rolled = 0;
    const absl::Status status = database_->Write([&](Session& session) -> absl::Status {
      AIB_ASSIGN_OR_RETURN(rolled, RollUp(session, rows_max));
      return absl::OkStatus();
    });
    EXPECT_TRUE(status.ok()) << status;
    return rolled;
  }
  // All that a killed process would have done, and none of it.
  void RollAndDie(int rows_max) {
    const absl::Status status = database_->Write([&](Session& session) -> absl::Status {
      AIB_RETURN_IF_ERROR(RollUp(session, rows_max).status());
      return MakeError(Reason::INTERNAL, "killed");
    });
    EXPECT_EQ(status.message(), "killed");
  }
  std::vector<std::string> Sums(const std::string& what, const std::string& where = "grain = 15") {
    return Ask(*database_,
               absl::StrCat("SELECT ", what, " FROM usage_daily WHERE ", where,
                            " ORDER BY day, tenant, model, user_id, key_id, endpoint"),
               1 + static_cast<int>(std::count(what.begin(), what.end(), ',')));
  }
  // What must be, whatever happened: each grain says what the rows say.
  void ExpectTotalsOfAllRows() {
    const auto of_rows =
        Ask(*database_,
            "SELECT COUNT(*), SUM(status = 'ERROR'), SUM(status = 'CANCELLED'), SUM(prompt_tokens),"
            " SUM(completion_tokens), SUM(cost_nano_usd * (1 - price_unknown)) FROM requests"
            " WHERE status <> 'RUNNING'",
            6);
    for (const int grain : kGrains) {
      EXPECT_EQ(Ask(*database_,
                    absl::StrCat("SELECT SUM(requests), SUM(errors), SUM(cancelled),"
                                 " SUM(prompt_tokens), SUM(completion_tokens), SUM(cost_nano_usd)"
                                 " FROM usage_daily WHERE grain = ",
                                 grain),
                    6),
                of_rows)
          << grain;
    }
    EXPECT_THAT(Ask(*database_,
                    "SELECT row_id FROM requests WHERE (rolled = 0) <> (status = 'RUNNING')", 1),
                IsEmpty());
  }
  // The rows that are counted, each with its number.
  std::set<std::string> Rolled() {
    const auto rows = Ask(*database_, "SELECT row_id, rolled FROM requests WHERE rolled > 0", 2);
    return {rows.begin(), rows.end()};
  }

  TempFolder folder_;
  std::unique_ptr<storage::Database> database_;
};

TEST_F(RollupTest, EveryNumberOfARowIsCounted) {
  RequestRow ok = Row("1");
  ok.prompt_tokens = 100;
  ok.completion_tokens = 20;
  ok.cached_tokens = 40;
  ok.reasoning_tokens = 5;
  ok.cost = NanoUsd{777};
  ok.response_time_ms = 1000;
  ok.ttft_ms = 100;
  RequestRow unknown = Row("2");
  unknown.cost = NanoUsd{1};  // says nothing
  unknown.price_unknown = true;
  unknown.prompt_tokens = 1;
  PutRows(*database_, {ok, unknown, Row("3", RequestStatus::kError),
                       Row("4", RequestStatus::kCancelled), Row("5", RequestStatus::kRunning)});
  EXPECT_EQ(Roll(), 4);
  EXPECT_THAT(Sums("day, tenant, model, user_id, key_id, endpoint, requests, errors, cancelled,"
                   "prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens,"
                   "cost_nano_usd, price_unknown"),
              ElementsAre("20787|default|m|ann|key_1|Chat|4|1|1|101|20|40|5|777|1"));
  EXPECT_THAT(Sums("model, user_id, key_id, endpoint, requests", "grain = 0"),
              ElementsAre("||||4"));
  EXPECT_THAT(Sums("model, user_id, key_id, endpoint, requests", "grain = 1"),
              ElementsAre("m||||4"));
  EXPECT_THAT(Sums("model, user_id, key_id, endpoint, requests", "grain = 2"),
              ElementsAre("|ann|||4"));
  EXPECT_THAT(Sums("model, user_id, key_id, endpoint, requests", "grain = 4"),
              ElementsAre("||key_1||4"));
  EXPECT_THAT(Sums("model, user_id, key_id, endpoint, requests", "grain = 8"),
              ElementsAre("|||Chat|4"));
  EXPECT_EQ(Roll(), 0);
  ExpectTotalsOfAllRows();
}

TEST_F(RollupTest, TimesAreKeptAsDistributionsThatGrow) {
  RequestRow chat = Row("1");
  chat.response_time_ms = 1000;
  chat.ttft_ms = 100;
  RequestRow embed = Row("2");
  embed.endpoint = "Embed";
  embed.response_time_ms = 50;
  embed.ttft_ms = 9;  // not of a chat
  PutRows(*database_, {chat, embed});
  Roll();
  chat.row_id = "3";
  chat.endpoint = "ChatStream";
  PutRows(*database_, {chat, Row("4")});
  Roll();
  Histogram latency, ttft;
  for (const std::string& blob : Sums("latency", "grain = 0")) latency.MergeEncoded(blob);
  for (const std::string& blob : Sums("ttft", "grain = 0")) ttft.MergeEncoded(blob);
  EXPECT_EQ(latency.count(), 4u);
  EXPECT_NEAR(latency.Quantile(1), 1000, 20);
  EXPECT_NEAR(latency.Quantile(0.34), 50, 1);
  EXPECT_EQ(ttft.count(), 2u);
  EXPECT_NEAR(ttft.Quantile(0), 100, 2);
}

TEST_F(RollupTest, ARowCountsOnTheDayThatItBeganAlsoWhenItComesLate) {
  RequestRow before = Row("1"), midnight = Row("2"), ancient = Row("3");
  midnight.created_at = absl::FromCivil(absl::CivilDay(2026, 12, 1), absl::UTCTimeZone());
  before.created_at = midnight.created_at - absl::Microseconds(1);
  ancient.created_at = absl::FromUnixMicros(-1);
  PutRows(*database_, {before, midnight});
  Roll();
  PutRows(*database_, {ancient});
  before.row_id = "0";
  PutRows(*database_, {before});
  Roll();
  EXPECT_THAT(Sums("day, requests"), ElementsAre("-1|1", "20787|2", "20788|1"));
}

TEST_F(RollupTest, EachTransactionHasANumberOfItsOwnThatRises) {
  for (const char* id : {"1", "2", "3"}) PutRows(*database_, {Row(id)});
  EXPECT_EQ(Roll(2), 2);
  EXPECT_EQ(Roll(2), 1);
  EXPECT_EQ(Roll(2), 0);
  PutRows(*database_, {Row("0")});
  RollAndDie(5);
  EXPECT_EQ(Roll(2), 1);
  EXPECT_THAT(Ask(*database_, "SELECT rolled, row_id FROM requests ORDER BY rolled, row_id", 2),
              ElementsAre("1|1", "1|2", "2|3", "3|0"));
}

TEST_F(RollupTest, ARowIsCountedOnceWhateverIsKilledWhen) {
  std::mt19937_64 random(5);
  std::vector<RequestRow> running;
  std::set<std::string> rolled;
  int next = 0;
  int deaths = 0;
  for (int step = 0; step < 1500; ++step) {
    switch (random() % 6) {
      case 0:
      case 1: {  // begins
        RequestRow row =
            Row(absl::StrCat("r", random() % 1000, "_", next++), RequestStatus::kRunning);
        row.created_at -= absl::Hours(random() % 72);
        row.tenant = absl::StrCat("t", random() % 2);
        row.model = absl::StrCat("m", random() % 3);
        row.user_id = absl::StrCat("u", random() % 4);
        PutRows(*database_, {row});
        running.push_back(row);
        break;
      }
      case 2:
      case 3: {  // ends
        if (running.empty()) break;
        std::swap(running[random() % running.size()], running.back());
        RequestRow row = running.back();
        running.pop_back();
        constexpr RequestStatus kEnds[] = {RequestStatus::kOk, RequestStatus::kError,
                                           RequestStatus::kCancelled};
        row.status = kEnds[random() % 3];
        row.prompt_tokens = static_cast<int>(random() % 1000);
        row.completion_tokens = static_cast<int>(random() % 1000);
        row.cost = NanoUsd{static_cast<int64_t>(random() % 1'000'000)};
        PutRows(*database_, {row});
        break;
      }
      case 4:
        Roll(1 + static_cast<int>(random() % 5));
        break;
      default:
        RollAndDie(1 + static_cast<int>(random() % 5));
        ++deaths;
    }
    if (step % 100 != 0) continue;
    const std::set<std::string> now = Rolled();
    EXPECT_TRUE(std::includes(now.begin(), now.end(), rolled.begin(), rolled.end()));
    rolled = now;
  }
  while (Roll() > 0) continue;
  ExpectTotalsOfAllRows();
  EXPECT_THAT(deaths, Gt(100));
  EXPECT_THAT(rolled.size(), Gt(100u));
}

TEST_F(RollupTest, ItCountsByItself) {
  PutRows(*database_, {Row("1")});
  Rollup rollup(*database_, {absl::Milliseconds(1)});
  const absl::Time deadline = absl::Now() + kPatience;
  while (Sums("requests").empty() && absl::Now() < deadline) std::this_thread::yield();
  EXPECT_THAT(Sums("requests"), ElementsAre("1"));
}

TEST_F(RollupTest, RollNowReturnsWhenAllBeforeItIsCounted) {
  Rollup rollup(*database_, {kNever});
  std::vector<RequestRow> rows;
  for (int i = 0; i < Rollup::kRowsMax + 7; ++i) rows.push_back(Row(absl::StrCat(i)));
  PutRows(*database_, rows);
  ASSERT_TRUE(rollup.RollNow(kPatience).ok());
  ExpectTotalsOfAllRows();
  PutRows(*database_, {Row("late")});
  ASSERT_TRUE(rollup.RollNow(kPatience).ok());
  ExpectTotalsOfAllRows();
}

TEST_F(RollupTest, ASlowTransactionIsFollowedBySmallerOnes) {
  Rollup rollup(*database_, {kNever, /*transaction_goal=*/absl::Nanoseconds(1)});
  std::vector<RequestRow> rows;
  for (int i = 0; i < 5000; ++i) rows.push_back(Row(absl::StrCat(i)));
  PutRows(*database_, rows);
  ASSERT_TRUE(rollup.RollNow(kPatience).ok());
  EXPECT_THAT(
      Ask(*database_, "SELECT COUNT(*) FROM requests GROUP BY rolled ORDER BY rolled LIMIT 4", 1),
      ElementsAre("2000", "1000", "500", "250"));
  ExpectTotalsOfAllRows();
}

TEST_F(RollupTest, TwoOverOneFileCountEachRowOnce) {
  const auto other_database = storage::OpenSqlite(folder_.File("test.sqlite"));
  Rollup one(*database_, {absl::Milliseconds(1)});
  Rollup two(**other_database, {absl::Milliseconds(1)});
  for (int i = 0; i < 300; ++i) PutRows(*database_, {Row(absl::StrCat(i))});
  ASSERT_TRUE(one.RollNow(kPatience).ok());
  ASSERT_TRUE(two.RollNow(kPatience).ok());
  ExpectTotalsOfAllRows();
}

TEST_F(RollupTest, WhileTheDatabaseIsAwayItSaysSoAndLaterCountsAll) {
  PutRows(*database_, {Row("1")});
  FaultyDatabase faulty(*database_);
  faulty.is_away = true;
  Rollup rollup(faulty, {kNever});
  EXPECT_EQ(ReasonOf(rollup.RollNow(kPatience)), Reason::DATABASE_UNAVAILABLE);
  EXPECT_THAT(Sums("requests"), IsEmpty());
  faulty.is_away = false;
  EXPECT_TRUE(rollup.RollNow(kPatience).ok());
  ExpectTotalsOfAllRows();
}

TEST_F(RollupTest, AWaitForAWriterThatDoesntComeIsBounded) {
  PutRows(*database_, {Row("1")});
  absl::Notification go_on;
  FaultyDatabase faulty(*database_);
  faulty.held_up_by = &go_on;
  Rollup rollup(faulty, {kNever});
  EXPECT_EQ(ReasonOf(rollup.RollNow(absl::Milliseconds(1))), Reason::DEADLINE_EXCEEDED);
  go_on.Notify();
  EXPECT_TRUE(rollup.RollNow(kPatience).ok());
  ExpectTotalsOfAllRows();
}

}  // namespace
}  // namespace aibackend::usage
