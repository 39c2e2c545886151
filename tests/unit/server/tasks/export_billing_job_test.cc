#include "server/tasks/export_billing_job.h"

#include <algorithm>
#include <map>
#include <random>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "server/base/status.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/server/tasks/fake_job_context.h"
#include "tests/unit/server/usage/ledger_rows.h"
#include "tests/unit/temp_folder.h"

namespace aibackend::tasks {
namespace {

using jobs::Json;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using usage::RequestRow;
using usage::RequestStatus;

// Remembers what it accepted, as the other side of a billing API does, and fails where a test says.
class ScriptedSink final : public BillingSink {
 public:
  void Send(const BillingEvent& event, std::function<void(absl::Status)> on_done) override {
    const int call = calls++;
    const auto failure = failures.find(call);
    if (failure != failures.end()) return on_done(failure->second);
    if (accepted.count(event.identifier) > 0) ++repeated;
    accepted.emplace(event.identifier, event);
    order.push_back(event.identifier);
    on_done(absl::OkStatus());
  }

  std::map<int, absl::Status> failures;  // by call
  int calls = 0;
  int repeated = 0;
  std::map<std::string, BillingEvent> accepted;
  std::vector<std::string> order;
};

// Ends events on another thread, once as many are under way as may be, the last begun first.
class SlowSink final : public BillingSink {
 public:
  ~SlowSink() override { Join(); }
  void Send(const BillingEvent& event, std::function<void(absl::Status)> on_done) override {
    absl::MutexLock lock(&mutex_);
    waiting_.push_back({event.identifier, std::move(on_done)});
    most = std::max(most, waiting_.size());
    ++sent;
  }
  // Until `events` have ended. One whose identifier is `refused` fails.
  void EndAll(size_t events, const std::string& refused = "") {
    thread_ = std::thread([this, events, refused] {
      for (size_t ended = 0; ended < events; ++ended) {
        std::pair<std::string, std::function<void(absl::Status)>> last;
        {
          absl::MutexLock lock(&mutex_);
          constexpr size_t kWindow = ExportBillingJob::kEventsInFlightMax;
          const size_t full = std::min(events - ended, kWindow - ended % kWindow);
          const auto is_full = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
            return waiting_.size() >= full;
          };
          mutex_.Await(absl::Condition(&is_full));
          last = std::move(waiting_.back());
          waiting_.pop_back();
        }
        last.second(last.first == refused ? MakeError(Reason::UPSTREAM_UNAVAILABLE, "away")
                                          : absl::OkStatus());
      }
    });
  }
  void Join() {
    if (thread_.joinable()) thread_.join();
  }

  size_t most = 0;
  int sent = 0;

 private:
  absl::Mutex mutex_;
  std::vector<std::pair<std::string, std::function<void(absl::Status)>>> waiting_
      ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

class ExportBillingJobTest : public ::testing::Test {
 protected:
  ExportBillingJobTest() : database_(*storage::OpenSqlite(folder_.File("test.sqlite"))) {}

  RequestRow Row(const std::string& id) {
    RequestRow row;
    row.row_id = id;
    row.created_at = absl::FromUnixSeconds(1'700'000'000);
    row.endpoint = "Chat";
    row.status = RequestStatus::kOk;
    row.tenant = "acme";
    row.prompt_tokens = 30;
    row.completion_tokens = 10;
    row.cost = NanoUsd{777};
    return row;
  }
  void Put(int first, int count) {
    std::vector<RequestRow> rows;
    for (int i = first; i < first + count; ++i) rows.push_back(Row(absl::StrCat("r", 1000 + i)));
    usage::PutRows(*database_, rows);
  }
  absl::StatusOr<Json> Run(BillingSink& sink, const ExportBillingJob::Options& options) {
    return ExportBillingJob(*database_, rollup_, sink, clock_, options).Run(Json(), context_);
  }
  absl::StatusOr<Json> Run(BillingMetric metric = BillingMetric::kTokens) {
    return Run(sink_, {"there", metric});
  }
  std::vector<std::string> Cursors() {
    return usage::Ask(*database_, "SELECT destination, rolled, row_id FROM billing_exports", 3);
  }

  TempFolder folder_;
  FakeClock clock_{absl::FromUnixSeconds(1'700'000'000) + absl::Hours(1)};
  std::unique_ptr<storage::Database> database_;
  usage::Rollup rollup_{*database_, {absl::Hours(10)}};
  ScriptedSink sink_;
  jobs::FakeJobContext context_;
};

TEST_F(ExportBillingJobTest, EachRequestIsAnEventOnce) {
  Put(0, 3);
  EXPECT_EQ(*Run(), (Json{{"events", 3}, {"skipped", 0}}));
  EXPECT_THAT(sink_.order, ElementsAre("aib_r1000", "aib_r1001", "aib_r1002"));
  const BillingEvent& event = sink_.accepted["aib_r1000"];
  EXPECT_EQ(event.customer, "acme");
  EXPECT_EQ(event.value, 40);
  EXPECT_EQ(event.at, absl::FromUnixSeconds(1'700'000'000));

  EXPECT_EQ(*Run(), (Json{{"events", 0}, {"skipped", 0}}));
  // One whose id is lower and that ended later isn't missed.
  usage::PutRows(*database_, {Row("a")});
  EXPECT_EQ((*Run())["events"], 1);
  EXPECT_EQ(sink_.order.back(), "aib_a");
  EXPECT_EQ(sink_.repeated, 0);
}

TEST_F(ExportBillingJobTest, TheMetricSaysWhatAnEventIsWorthAndWhatIsWorthNothingIsSkipped) {
  RequestRow failed = Row("failed"), unknown = Row("unknown"), running = Row("running");
  RequestRow replay = Row("replay");
  replay.prompt_tokens = replay.completion_tokens = 0;
  replay.cost = NanoUsd{};
  replay.replay_of = "usual";
  failed.status = RequestStatus::kError;
  failed.prompt_tokens = failed.completion_tokens = 0;
  failed.cost = NanoUsd{};
  unknown.price_unknown = true;
  running.status = RequestStatus::kRunning;
  usage::PutRows(*database_, {Row("usual"), failed, unknown, running, replay});
  EXPECT_EQ(*Run(), (Json{{"events", 2}, {"skipped", 2}}));
  EXPECT_THAT(sink_.order, ElementsAre("aib_unknown", "aib_usual"));

  ScriptedSink money, requests;
  EXPECT_EQ(*Run(money, {"money", BillingMetric::kNanoUsd}), (Json{{"events", 1}, {"skipped", 3}}));
  EXPECT_EQ(money.accepted["aib_usual"].value, 777);
  EXPECT_EQ(*Run(requests, {"requests", BillingMetric::kRequests}),
            (Json{{"events", 3}, {"skipped", 1}}));
  EXPECT_EQ(requests.accepted["aib_failed"].value, 1);
  EXPECT_THAT(Cursors(), SizeIs(3));
}

TEST_F(ExportBillingJobTest, RequestsThatAreTooOldWhenItRunsAreSkipped) {
  ExportBillingJob job(*database_, rollup_, sink_, clock_,
                       {"there", BillingMetric::kTokens, absl::Hours(1)});
  RequestRow old = Row("old");
  old.created_at -= absl::Microseconds(1);
  usage::PutRows(*database_, {old, Row("usual")});
  EXPECT_EQ(*job.Run(Json(), context_), (Json{{"events", 1}, {"skipped", 1}}));
  EXPECT_THAT(sink_.order, ElementsAre("aib_usual"));
  clock_.Advance(absl::Microseconds(1));
  usage::PutRows(*database_, {Row("later")});
  EXPECT_EQ(*job.Run(Json(), context_), (Json{{"events", 0}, {"skipped", 1}}));
}

TEST_F(ExportBillingJobTest, AFailureAtAnyPlaceLosesNothingAndTheRestIsSentNextTime) {
  constexpr int kEvents = 12;
  for (int place = 0; place < kEvents; ++place) {
    ScriptedSink sink;
    const std::string destination = absl::StrCat("there", place);
    if (place == 0) Put(0, kEvents);
    sink.failures[place] = MakeError(Reason::UPSTREAM_UNAVAILABLE, "away");
    const auto failed = Run(sink, {destination});
    EXPECT_EQ(failed.status().code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(sink.accepted.size(), static_cast<size_t>(place));
    EXPECT_EQ((*Run(sink, {destination}))["events"], kEvents - place);
    EXPECT_EQ(sink.accepted.size(), size_t{kEvents}) << place;
    EXPECT_EQ(sink.repeated, 0) << place;
  }
}

TEST_F(ExportBillingJobTest, WhatAnUpstreamRefusesEndsTheJobWithItsMessage) {
  Put(0, 5);
  sink_.failures[2] = MakeError(Reason::UPSTREAM_REJECTED_REQUEST, "no such customer");
  const absl::Status status = Run().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "no such customer");
  EXPECT_THAT(Cursors(), ElementsAre("there|1|r1001"));
}

TEST_F(ExportBillingJobTest, TheCursorStaysBeforeTheFirstThatFailedThoughLaterOnesWereAccepted) {
  Put(0, 8);
  SlowSink sink;
  sink.EndAll(8, "aib_r1003");
  EXPECT_EQ(ReasonOf(Run(sink, {"there"}).status()), Reason::UPSTREAM_UNAVAILABLE);
  sink.Join();
  EXPECT_THAT(Cursors(), ElementsAre("there|1|r1002"));
  EXPECT_EQ((*Run())["events"], 5);
  EXPECT_EQ(sink_.order.front(), "aib_r1003");
}

TEST_F(ExportBillingJobTest, SomeAreUnderWayAtOnceAndNoMore) {
  Put(0, 40);
  SlowSink sink;
  sink.EndAll(40);
  EXPECT_EQ((*Run(sink, {"there"}))["events"], 40);
  EXPECT_EQ(sink.most, size_t{ExportBillingJob::kEventsInFlightMax});
}

// What was accepted and isn't noted is sent again, and the other side knows it for a day only.
TEST_F(ExportBillingJobTest, TheCursorMovesEveryFewEvents) {
  class Onlooker final : public BillingSink {
   public:
    Onlooker(BillingSink& real, std::function<int64_t()> noted)
        : real_(real), noted_(std::move(noted)) {}
    void Send(const BillingEvent& event, std::function<void(absl::Status)> on_done) override {
      most = std::max(most, ++sent_ - noted_());
      real_.Send(event, std::move(on_done));
    }
    int64_t most = 0;

   private:
    BillingSink& real_;
    const std::function<int64_t()> noted_;
    int64_t sent_ = 0;
  };
  Put(0, 100);
  Onlooker onlooker(sink_, [this] {
    const auto noted = usage::Ask(*database_,
                                  "SELECT COUNT(*) FROM requests, billing_exports b WHERE"
                                  " (requests.rolled, requests.row_id) <= (b.rolled, b.row_id)",
                                  1);
    return std::stoll(noted.at(0));
  });
  EXPECT_EQ((*Run(onlooker, {"there"}))["events"], 100);
  EXPECT_EQ(onlooker.most, ExportBillingJob::kEventsInFlightMax);
  EXPECT_EQ(context_.advances, 13);
}

TEST_F(ExportBillingJobTest, AJobThatShouldStopStopsAndKeepsWhatWasAccepted) {
  Put(0, 30);
  context_.stop_after = 11;
  EXPECT_EQ(ReasonOf(Run().status()), Reason::DRAINING);
  EXPECT_THAT(sink_.order, SizeIs(11));
  context_.stop_after = 1'000'000;
  EXPECT_EQ((*Run())["events"], 19);
  EXPECT_EQ(sink_.repeated, 0);
}

// Killed at any write of the cursor, while rows go on ending: every request is accepted in the end,
// and what came twice came with the same identifier.
TEST_F(ExportBillingJobTest, WhateverIsKilledWhenEveryRequestIsAccepted) {
  class Mortal final : public storage::Database {
   public:
    explicit Mortal(storage::Database& database) : database_(database) {}
    absl::Status Read(absl::FunctionRef<absl::Status(storage::Session&)> work) override {
      return database_.Read(work);
    }
    absl::Status Write(absl::FunctionRef<absl::Status(storage::Session&)> work) override {
      if (is_dead) return MakeError(Reason::DATABASE_UNAVAILABLE, "killed");
      return database_.Write(work);
    }
    bool is_dead = false;

   private:
    storage::Database& database_;
  };
  std::mt19937_64 random(8);
  Mortal mortal(*database_);
  ExportBillingJob job(mortal, rollup_, sink_, clock_, {"there"});
  int put = 0;
  int deaths = 0;
  for (int round = 0; round < 40; ++round) {
    const int more = static_cast<int>(random() % 40);
    Put(put, more);
    put += more;
    mortal.is_dead = random() % 2 == 0;
    sink_.failures.clear();
    if (random() % 2 == 0) {
      sink_.failures[sink_.calls + static_cast<int>(random() % 30)] =
          MakeError(Reason::UPSTREAM_TIMEOUT, "late");
    }
    deaths += job.Run(Json(), context_).ok() ? 0 : 1;
  }
  EXPECT_GT(deaths, 10);
  EXPECT_GT(sink_.repeated, 0);
  mortal.is_dead = false;
  sink_.failures.clear();
  ASSERT_TRUE(job.Run(Json(), context_).ok());
  EXPECT_EQ(sink_.accepted.size(), static_cast<size_t>(put));
  EXPECT_EQ((*job.Run(Json(), context_))["events"], 0);
}

TEST_F(ExportBillingJobTest, MoreRowsThanABatchComeInOrder) {
  Put(0, ExportBillingJob::kRowsMax * 2 + 3);
  EXPECT_EQ((*Run())["events"], ExportBillingJob::kRowsMax * 2 + 3);
  EXPECT_TRUE(std::is_sorted(sink_.order.begin(), sink_.order.end()));
  EXPECT_EQ(context_.progress.back().done, ExportBillingJob::kRowsMax * 2 + 3);
  EXPECT_EQ(context_.progress.back().total, ExportBillingJob::kRowsMax * 2 + 3);
}

TEST_F(ExportBillingJobTest, ItTakesNoParams) {
  ExportBillingJob job(*database_, rollup_, sink_, clock_, {"there"});
  EXPECT_TRUE(job.Validate(Json()).ok());
  EXPECT_TRUE(job.Validate(Json::object()).ok());
  EXPECT_EQ(FieldOf(job.Validate({{"days", 1}})), "params.days");
  EXPECT_EQ(BillingMetricOf("nano_usd"), BillingMetric::kNanoUsd);
  EXPECT_FALSE(BillingMetricOf("usd").has_value());
}

}  // namespace
}  // namespace aibackend::tasks
