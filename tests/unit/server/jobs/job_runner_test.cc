#include "server/jobs/job_runner.h"

#include <atomic>
#include <functional>
#include <stdexcept>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "server/base/status.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/server/jobs/watched_database.h"
#include "tests/unit/temp_folder.h"

namespace aibackend::jobs {
namespace {

using ::testing::HasSubstr;

using RunFunction = std::function<absl::StatusOr<Json>(const Json&, JobContext&)>;

class TestKind final : public JobKind {
 public:
  explicit TestKind(RunFunction run) : run_(std::move(run)) {}
  std::string name() const override { return "test"; }
  absl::Status Validate(const Json& params) const override {
    if (params.contains("bad")) return MakeError(Reason::UNKNOWN_FIELD, "unknown", "params.bad");
    return absl::OkStatus();
  }
  absl::StatusOr<Json> Run(const Json& params, JobContext& context) override {
    return run_(params, context);
  }

 private:
  const RunFunction run_;
};

// Work in small steps, until it should stop.
absl::Status WorkUntilStopped(JobContext& context) {
  for (int64_t step = 0;; ++step) {
    context.ReportProgress(step, 0, "stepping");
    AIB_RETURN_IF_ERROR(context.CheckAlive());
    std::this_thread::yield();
  }
}

class JobRunnerTest : public ::testing::Test {
 protected:
  JobRunnerTest()
      : database_(*storage::OpenSqlite(folder_.File("test.sqlite"))),
        queue_(database_, clock_),
        ids_(clock_) {
    options_.poll = absl::Seconds(1);
    options_.backoff_start = absl::Milliseconds(1);
  }

  std::unique_ptr<JobRunner> Runner(RunFunction run) {
    std::vector<std::unique_ptr<JobKind>> kinds;
    kinds.push_back(std::make_unique<TestKind>(std::move(run)));
    return std::make_unique<JobRunner>(queue_, ids_, clock_, std::move(kinds), options_);
  }

  JobId Submit(JobRunner& runner, const Json& params = Json::object()) {
    const auto job = runner.Submit("test", params);
    EXPECT_TRUE(job.ok()) << job.status();
    return job.ok() ? job->id : JobId();
  }

  // The job once it has the status.
  Job Await(const JobId& id, JobStatus status) {
    Job job;
    EXPECT_TRUE(database_.WaitUntil([&] {
      job = queue_.Get(id).value_or(Job());
      return job.status == status;
    })) << "still "
        << JobStatusName(job.status);
    return job;
  }

  TempFolder folder_;
  SystemClock clock_;
  storage::WatchedDatabase database_;
  JobQueue queue_;
  UlidSource ids_;
  JobRunner::Options options_;
};

TEST_F(JobRunnerTest, AJobRunsWithItsParamsAndKeepsItsResult) {
  auto runner = Runner([](const Json& params, JobContext& context) -> absl::StatusOr<Json> {
    context.ReportProgress(2, 2, "doubled");
    return Json{{"twice", 2 * params["n"].get<int>()}};
  });
  runner->Start();
  const Job job = Await(Submit(*runner, {{"n", 21}}), JobStatus::kSucceeded);
  EXPECT_EQ(job.result, R"({"twice":42})");
  EXPECT_EQ(job.progress.message, "doubled");
  EXPECT_EQ(job.attempts, 1);
}

TEST_F(JobRunnerTest, AnUnknownKindIsRefusedWithTheKnownOnes) {
  auto runner = Runner(nullptr);
  const auto job = runner->Submit("other", Json::object());
  EXPECT_EQ(ReasonOf(job.status()), Reason::JOB_KIND_UNKNOWN);
  EXPECT_EQ(FieldOf(job.status()), "kind");
  EXPECT_THAT(std::string(job.status().message()), HasSubstr("test"));
}

TEST_F(JobRunnerTest, ParamsThatCanNeverRunAreRefusedAndNotStored) {
  auto runner = Runner(nullptr);
  EXPECT_EQ(FieldOf(runner->Submit("test", {{"bad", 1}}).status()), "params.bad");
  EXPECT_EQ(ReasonOf(runner->Submit("test", {{"x", "\xff"}}).status()), Reason::INVALID_UTF8);
  const Json large = {{"x", std::string(JobRunner::kParamsBytesMax, 'x')}};
  EXPECT_EQ(ReasonOf(runner->Submit("test", large).status()), Reason::REQUEST_TOO_LARGE);
  EXPECT_TRUE(queue_.List("default", 10, "")->jobs.empty());
}

TEST_F(JobRunnerTest, AJobSubmittedBeforeTheStartRunsAfterIt) {
  auto runner = Runner([](const Json&, JobContext&) -> absl::StatusOr<Json> { return Json{}; });
  const JobId id = Submit(*runner);
  EXPECT_EQ(queue_.Get(id)->status, JobStatus::kQueued);
  runner->Start();
  Await(id, JobStatus::kSucceeded);
}

TEST_F(JobRunnerTest, ASubmitWakesTheRunnerWithoutThePoll) {
  options_.poll = absl::Hours(1);
  auto runner = Runner([](const Json&, JobContext&) -> absl::StatusOr<Json> { return Json{}; });
  runner->Start();
  for (int i = 0; i < 5; ++i) Await(Submit(*runner), JobStatus::kSucceeded);
}

TEST_F(JobRunnerTest, AnAttemptThatAdvancedTheJobDoesNotCount) {
  std::atomic<int> runs{0};
  std::atomic<int> ends{0};
  options_.attempts_max = 2;
  options_.on_end = [&](const std::string&, JobStatus) { ++ends; };
  auto runner = Runner([&](const Json&, JobContext& context) -> absl::StatusOr<Json> {
    if (++runs <= 5) context.NoteAdvance();
    return MakeError(Reason::UPSTREAM_UNAVAILABLE, "away");
  });
  runner->Start();
  const Job job = Await(Submit(*runner), JobStatus::kFailed);
  runner->Stop();
  EXPECT_EQ(job.attempts, 2);
  EXPECT_EQ(runs, 5 + 2);
  EXPECT_EQ(ends, 1);
}

TEST_F(JobRunnerTest, ItIsNotTriedAgainBeforeItsRetryAfter) {
  const absl::Time before = clock_.Now();
  auto runner = Runner([](const Json&, JobContext& context) -> absl::StatusOr<Json> {
    const absl::Status limited = MakeError(Reason::UPSTREAM_RATE_LIMITED, "slowly");
    return WithRetryAfter(limited,
                          context.job_id().value == "job_a" ? absl::Minutes(10) : absl::Hours(10));
  });
  for (const char* id : {"job_a", "job_b"}) {
    Job job;
    job.id = JobId(id);
    job.kind = "test";
    job.params = "{}";
    job.created_at = before;
    ASSERT_TRUE(queue_.Enqueue(job).ok());
  }
  runner->Start();
  for (const char* id : {"job_a", "job_b"}) {
    EXPECT_TRUE(database_.WaitUntil(
        [&] { return queue_.Get(JobId(id)).value_or(Job()).error_reason != ""; }));
  }
  runner->Stop();
  EXPECT_GE(*queue_.NextDue(), before + absl::Minutes(10));
  // An upstream doesn't hold a job up for as long as it likes.
  FakeClock later(clock_.Now() + options_.retry_after_max);
  JobQueue then(database_, later);
  for (const char* id : {"job_a", "job_b"}) {
    EXPECT_EQ((*then.Claim("w", absl::Minutes(1)))->id.value, id);
  }
}

TEST_F(JobRunnerTest, AFailureForNowIsTriedAgain) {
  options_.poll = absl::Hours(1);  // the retry's time wakes it, not the poll
  auto runner = Runner([](const Json&, JobContext& context) -> absl::StatusOr<Json> {
    if (context.attempt() < 3) return MakeError(Reason::UPSTREAM_UNAVAILABLE, "not yet");
    return Json{{"attempt", context.attempt()}};
  });
  runner->Start();
  const Job job = Await(Submit(*runner), JobStatus::kSucceeded);
  EXPECT_EQ(job.attempts, 3);
  EXPECT_EQ(job.error_reason, "");
}

TEST_F(JobRunnerTest, AttemptsEndAndTheLastErrorSaysSo) {
  options_.attempts_max = 3;
  auto runner = Runner([](const Json&, JobContext&) -> absl::StatusOr<Json> {
    return MakeError(Reason::UPSTREAM_UNAVAILABLE, "never");
  });
  runner->Start();
  const Job job = Await(Submit(*runner), JobStatus::kFailed);
  EXPECT_EQ(job.attempts, 3);
  EXPECT_EQ(job.error_reason, "UPSTREAM_UNAVAILABLE");
  EXPECT_EQ(job.error_message, "gave up after 3 attempts: never");
}

TEST_F(JobRunnerTest, AJobThatKillsItsProcessDoesntRunForEver) {
  options_.attempts_max = 2;
  std::atomic<int> runs{0};
  auto runner = Runner([&](const Json&, JobContext&) -> absl::StatusOr<Json> {
    ++runs;
    return Json{};
  });
  const JobId id = Submit(*runner);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE((*queue_.Claim("dies", absl::Hours(1))).has_value());
    ASSERT_EQ(*queue_.ReleaseAbandoned([](const std::string&) { return true; }), 1);
  }
  runner->Start();
  const Job job = Await(id, JobStatus::kFailed);
  EXPECT_EQ(job.error_reason, "INTERRUPTED");
  EXPECT_THAT(job.error_message, HasSubstr("gave up after 2 attempts"));
  EXPECT_EQ(runs, 0);
}

TEST_F(JobRunnerTest, AFailureForGoodIsNotTriedAgain) {
  auto runner = Runner([](const Json&, JobContext&) -> absl::StatusOr<Json> {
    return MakeError(Reason::FIELD_INVALID, "no");
  });
  runner->Start();
  const Job job = Await(Submit(*runner), JobStatus::kFailed);
  EXPECT_EQ(job.attempts, 1);
  EXPECT_EQ(job.error_reason, "FIELD_INVALID");
}

TEST_F(JobRunnerTest, AnExceptionEndsTheJobAndNotTheServer) {
  auto runner = Runner([](const Json& params, JobContext&) -> absl::StatusOr<Json> {
    if (params.contains("odd")) throw 7;
    throw std::runtime_error("oops");
  });
  runner->Start();
  Job job = Await(Submit(*runner), JobStatus::kFailed);
  EXPECT_EQ(job.error_reason, "INTERNAL");
  EXPECT_THAT(job.error_message, HasSubstr("oops"));
  job = Await(Submit(*runner, {{"odd", true}}), JobStatus::kFailed);
  EXPECT_EQ(job.error_reason, "INTERNAL");
}

TEST_F(JobRunnerTest, StopHandsARunningJobBack) {
  absl::Notification running;
  auto runner = Runner([&](const Json&, JobContext& context) -> absl::StatusOr<Json> {
    running.Notify();
    return WorkUntilStopped(context);
  });
  runner->Start();
  const JobId id = Submit(*runner);
  running.WaitForNotification();
  runner->Stop();
  Job job = *queue_.Get(id);
  EXPECT_EQ(job.status, JobStatus::kQueued);
  EXPECT_EQ(job.attempts, 0);
  auto next = Runner([](const Json&, JobContext&) -> absl::StatusOr<Json> { return Json{}; });
  next->Start();
  Await(id, JobStatus::kSucceeded);
}

TEST_F(JobRunnerTest, AJobThatEndsWhileTheServerStopsKeepsItsResult) {
  absl::Notification running;
  auto runner = Runner([&](const Json&, JobContext& context) -> absl::StatusOr<Json> {
    running.Notify();
    EXPECT_EQ(ReasonOf(WorkUntilStopped(context)), Reason::DRAINING);
    return Json{{"finished", true}};
  });
  runner->Start();
  const JobId id = Submit(*runner);
  running.WaitForNotification();
  runner->Stop();
  EXPECT_EQ(queue_.Get(id)->status, JobStatus::kSucceeded);
}

TEST_F(JobRunnerTest, ARestartTakesBackWhatItsPredecessorLeftWithoutWaiting) {
  auto runner = Runner([](const Json&, JobContext&) -> absl::StatusOr<Json> { return Json{}; });
  const JobId id = Submit(*runner);
  std::string predecessor = MakeWorkerId();  // of this machine and number, but started earlier
  const size_t start = predecessor.find(':', predecessor.find(':') + 1) + 1;
  predecessor.replace(start, predecessor.find(':', start) - start, "1");
  ASSERT_TRUE((*queue_.Claim(predecessor, absl::Hours(1))).has_value());
  runner->Start();
  EXPECT_EQ(Await(id, JobStatus::kSucceeded).attempts, 2);
}

TEST_F(JobRunnerTest, ProgressIsWrittenAFewTimesASecondAtMost) {
  auto runner = Runner([](const Json&, JobContext& context) -> absl::StatusOr<Json> {
    for (int i = 1; i <= 10'000; ++i) context.ReportProgress(i, 10'000, "counting");
    return Json{};
  });
  const absl::Time start = absl::Now();
  runner->Start();
  const Job job = Await(Submit(*runner), JobStatus::kSucceeded);
  const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
  EXPECT_EQ(job.progress.done, 10'000);
  EXPECT_LT(database_.writes(), 10 + 5 * seconds);
}

TEST_F(JobRunnerTest, ProgressShowsWhileTheJobRuns) {
  absl::Notification seen;
  auto runner = Runner([&](const Json&, JobContext& context) -> absl::StatusOr<Json> {
    context.ReportProgress(1, 2, "half");
    seen.WaitForNotification();
    return Json{};
  });
  runner->Start();
  const JobId id = Submit(*runner);
  EXPECT_TRUE(database_.WaitUntil([&] { return queue_.Get(id)->progress.message == "half"; }));
  EXPECT_EQ(queue_.Get(id)->status, JobStatus::kRunning);
  seen.Notify();
  Await(id, JobStatus::kSucceeded);
}

TEST_F(JobRunnerTest, TheEndIsReportedWhenTheDatabaseIsBack) {
  auto runner = Runner([&](const Json&, JobContext&) -> absl::StatusOr<Json> {
    database_.set_away(true);
    return Json{};
  });
  runner->Start();
  const JobId id = Submit(*runner);
  int refused = 0;
  EXPECT_TRUE(database_.WaitUntil([&] { return ++refused > 3; }));
  database_.set_away(false);
  EXPECT_EQ(Await(id, JobStatus::kSucceeded).attempts, 1);
}

TEST_F(JobRunnerTest, SeveralThreadsRunSeveralJobsAtOnce) {
  options_.threads = 3;
  std::atomic<int> running{0};
  absl::Notification all_running;
  auto runner = Runner([&](const Json&, JobContext&) -> absl::StatusOr<Json> {
    if (++running == 3) all_running.Notify();
    all_running.WaitForNotification();
    return Json{};
  });
  runner->Start();
  std::vector<JobId> ids;
  for (int i = 0; i < 3; ++i) ids.push_back(Submit(*runner));
  for (const JobId& id : ids) Await(id, JobStatus::kSucceeded);
}

// The queue's time stands until the test moves it; the runner renews by its own.
class JobLeaseTest : public JobRunnerTest {
 protected:
  JobLeaseTest() : fake_queue_(database_, fake_clock_) { options_.lease = absl::Milliseconds(600); }

  std::unique_ptr<JobRunner> FakeTimeRunner(RunFunction run) {
    std::vector<std::unique_ptr<JobKind>> kinds;
    kinds.push_back(std::make_unique<TestKind>(std::move(run)));
    return std::make_unique<JobRunner>(fake_queue_, ids_, fake_clock_, std::move(kinds), options_);
  }

  FakeClock fake_clock_;
  JobQueue fake_queue_;
};

TEST_F(JobLeaseTest, ALongStepKeepsItsLease) {
  absl::Notification running, finish;
  auto runner = FakeTimeRunner([&](const Json&, JobContext&) -> absl::StatusOr<Json> {
    running.Notify();
    finish.WaitForNotification();  // and reports nothing
    return Json{};
  });
  runner->Start();
  const JobId id = Submit(*runner);
  running.WaitForNotification();
  for (int i = 0; i < 3; ++i) {
    fake_clock_.Advance(options_.lease * 0.75);
    const absl::Time renewed = fake_clock_.Now() + options_.lease;
    EXPECT_TRUE(database_.WaitUntil([&] { return *fake_queue_.NextDue() == renewed; }));
  }
  EXPECT_FALSE(fake_queue_.Claim("another", options_.lease)->has_value());
  finish.Notify();
  EXPECT_EQ(Await(id, JobStatus::kSucceeded).attempts, 1);
}

TEST_F(JobLeaseTest, AJobThatLostItsLeaseIsToldAndChangesNothing) {
  absl::Notification running;
  std::atomic<bool> aborted{false};
  auto runner = FakeTimeRunner([&](const Json&, JobContext& context) -> absl::StatusOr<Json> {
    running.Notify();
    aborted = absl::IsAborted(WorkUntilStopped(context));
    return Json{{"stale", true}};
  });
  runner->Start();
  const JobId id = Submit(*runner);
  running.WaitForNotification();
  fake_clock_.Advance(absl::Hours(1));
  // A renewal may come first; then the hour's end has moved, and the next try is an hour later.
  absl::optional<Job> taken;
  while (!taken) {
    taken = *fake_queue_.Claim("another", absl::Hours(9));
    fake_clock_.Advance(absl::Hours(1));
  }
  EXPECT_EQ(taken->attempts, 2);
  while (!aborted) std::this_thread::yield();
  runner->Stop();
  EXPECT_EQ(queue_.Get(id)->worker, "another");
  EXPECT_TRUE(fake_queue_.Succeed(*taken, R"({"fresh":true})").ok());
  EXPECT_EQ(queue_.Get(id)->result, R"({"fresh":true})");
}

}  // namespace
}  // namespace aibackend::jobs
