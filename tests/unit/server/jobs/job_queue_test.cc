#include "server/jobs/job_queue.h"

#include <atomic>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "server/base/status.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/temp_folder.h"

namespace aibackend::jobs {
namespace {

constexpr absl::Duration kLease = absl::Seconds(15);

class JobQueueTest : public ::testing::Test {
 protected:
  JobQueueTest()
      : database_(*storage::OpenSqlite(folder_.File("test.sqlite"))), queue_(*database_, clock_) {}

  Job NewJob(const std::string& id) {
    Job job;
    job.id = JobId(id);
    job.kind = "kind";
    job.params = R"({"a":1})";
    job.created_at = clock_.Now();
    return job;
  }

  void Add(const std::string& id) { ASSERT_TRUE(queue_.Enqueue(NewJob(id)).ok()); }

  // The claimed job, which must be there.
  Job Claimed(const std::string& worker) {
    const auto job = queue_.Claim(worker, kLease);
    EXPECT_TRUE(job.ok()) << job.status();
    EXPECT_TRUE(job->has_value());
    return job->value_or(Job());
  }

  bool NothingToClaim() { return !queue_.Claim("anyone", kLease)->has_value(); }

  Job Get(const std::string& id) {
    auto job = queue_.Get(JobId(id));
    EXPECT_TRUE(job.ok()) << job.status();
    return job.value_or(Job());
  }

  TempFolder folder_;
  FakeClock clock_;
  std::unique_ptr<storage::Database> database_;
  JobQueue queue_;
};

TEST_F(JobQueueTest, ANewJobIsQueuedAndComesBackWhole) {
  Add("a");
  const Job job = Get("a");
  EXPECT_EQ(job.kind, "kind");
  EXPECT_EQ(job.params, R"({"a":1})");
  EXPECT_EQ(job.status, JobStatus::kQueued);
  EXPECT_EQ(job.attempts, 0);
  EXPECT_EQ(job.created_at, clock_.Now());
  EXPECT_EQ(job.started_at, absl::InfinitePast());
  EXPECT_EQ(job.finished_at, absl::InfinitePast());
}

TEST_F(JobQueueTest, AKeyGivesOneJobWhateverHasBecomeOfIt) {
  ASSERT_TRUE(queue_.EnqueueOnce(NewJob("a"), {"key", "f"}).ok());
  ASSERT_TRUE(queue_.Succeed(Claimed("w"), R"({"x":2})").ok());
  const auto again = queue_.EnqueueOnce(NewJob("b"), {"key", "f"});
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->id, JobId("a"));
  EXPECT_EQ(again->status, JobStatus::kSucceeded);
  EXPECT_EQ(again->result, R"({"x":2})");
  EXPECT_EQ(ReasonOf(queue_.Get(JobId("b")).status()), Reason::JOB_NOT_FOUND);
  EXPECT_EQ(queue_.EnqueueOnce(NewJob("b"), {"other key", "f"})->id, JobId("b"));
}

TEST_F(JobQueueTest, AKeyWithAnotherJobIsRefusedAndStoresNothing) {
  ASSERT_TRUE(queue_.EnqueueOnce(NewJob("a"), {"key", "f"}).ok());
  EXPECT_EQ(ReasonOf(queue_.EnqueueOnce(NewJob("b"), {"key", "g"}).status()),
            Reason::IDEMPOTENCY_KEY_REUSED);
  EXPECT_EQ(ReasonOf(queue_.Get(JobId("b")).status()), Reason::JOB_NOT_FOUND);
}

TEST_F(JobQueueTest, ManyAtTheSameMomentMakeOneJob) {
  constexpr int kThreads = 8;
  std::vector<std::string> ids(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const auto job = queue_.EnqueueOnce(NewJob(absl::StrCat("job", t)), {"key", "f"});
      EXPECT_TRUE(job.ok()) << job.status();
      ids[t] = job.value_or(Job()).id.value;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_THAT(ids, ::testing::Each(ids[0]));
  EXPECT_EQ(queue_.List("default", 100, "")->jobs.size(), 1u);
}

TEST_F(JobQueueTest, AJobThatIsNotThereIsNotFound) {
  EXPECT_EQ(ReasonOf(queue_.Get(JobId("none")).status()), Reason::JOB_NOT_FOUND);
}

TEST_F(JobQueueTest, TheOldestIsClaimedFirstAndOnce) {
  Add("z");
  clock_.Advance(absl::Seconds(1));
  Add("a");
  EXPECT_EQ(Claimed("w").id, JobId("z"));
  EXPECT_EQ(Claimed("w").id, JobId("a"));
  EXPECT_TRUE(NothingToClaim());
  const Job job = Get("z");
  EXPECT_EQ(job.status, JobStatus::kRunning);
  EXPECT_EQ(job.worker, "w");
  EXPECT_EQ(job.attempts, 1);
  EXPECT_EQ(job.started_at, clock_.Now());
}

TEST_F(JobQueueTest, SuccessKeepsTheResultAndTheProgress) {
  Add("a");
  Job job = Claimed("w");
  job.progress = {3, 3, "done"};
  clock_.Advance(absl::Seconds(2));
  ASSERT_TRUE(queue_.Succeed(job, R"({"x":2})").ok());
  job = Get("a");
  EXPECT_EQ(job.status, JobStatus::kSucceeded);
  EXPECT_EQ(job.result, R"({"x":2})");
  EXPECT_EQ(job.progress.done, 3);
  EXPECT_EQ(job.progress.message, "done");
  EXPECT_EQ(job.finished_at, clock_.Now());
  EXPECT_TRUE(NothingToClaim());
}

TEST_F(JobQueueTest, AFailureForGoodEndsTheJob) {
  Add("a");
  ASSERT_TRUE(queue_.Fail(Claimed("w"), "INTERNAL", "broke", absl::nullopt).ok());
  const Job job = Get("a");
  EXPECT_EQ(job.status, JobStatus::kFailed);
  EXPECT_EQ(job.error_reason, "INTERNAL");
  EXPECT_EQ(job.error_message, "broke");
  EXPECT_EQ(job.finished_at, clock_.Now());
  EXPECT_TRUE(NothingToClaim());
}

TEST_F(JobQueueTest, AFailureForNowQueuesTheJobForItsTime) {
  Add("a");
  const absl::Time again = clock_.Now() + absl::Seconds(10);
  ASSERT_TRUE(queue_.Fail(Claimed("w"), "OVERLOADED", "later", again).ok());
  EXPECT_EQ(Get("a").status, JobStatus::kQueued);
  EXPECT_EQ(Get("a").error_message, "later");
  EXPECT_EQ(*queue_.NextDue(), again);
  EXPECT_TRUE(NothingToClaim());
  clock_.Advance(absl::Seconds(10));
  const Job job = Claimed("w");
  EXPECT_EQ(job.attempts, 2);
  ASSERT_TRUE(queue_.Succeed(job, "{}").ok());
  EXPECT_EQ(Get("a").error_message, "");
}

TEST_F(JobQueueTest, ALeaseThatExpiresIsClaimedByAnother) {
  Add("a");
  (void)Claimed("first");
  EXPECT_EQ(*queue_.NextDue(), clock_.Now() + kLease);
  clock_.Advance(kLease - absl::Milliseconds(1));
  EXPECT_TRUE(NothingToClaim());
  clock_.Advance(absl::Milliseconds(1));
  const Job second = Claimed("second");
  EXPECT_EQ(second.attempts, 2);
  EXPECT_EQ(second.worker, "second");
}

TEST_F(JobQueueTest, AHeartbeatRenewsTheLeaseAndKeepsTheProgress) {
  Add("a");
  const Job job = Claimed("w");
  clock_.Advance(absl::Seconds(10));
  ASSERT_TRUE(queue_.Heartbeat(job, {1, 4, "cutting"}, kLease).ok());
  clock_.Advance(absl::Seconds(10));
  EXPECT_TRUE(NothingToClaim());
  EXPECT_EQ(Get("a").progress.done, 1);
  EXPECT_EQ(Get("a").progress.total, 4);
  EXPECT_EQ(Get("a").progress.message, "cutting");
}

TEST_F(JobQueueTest, AWorkerThatLostItsLeaseCanChangeNothing) {
  Add("a");
  const Job stale = Claimed("same");
  clock_.Advance(kLease);
  const Job current = Claimed("same");
  EXPECT_TRUE(absl::IsAborted(queue_.Heartbeat(stale, {9, 9, "stale"}, kLease)));
  EXPECT_TRUE(absl::IsAborted(queue_.Succeed(stale, "{}")));
  EXPECT_TRUE(absl::IsAborted(queue_.Fail(stale, "INTERNAL", "", absl::nullopt)));
  EXPECT_TRUE(absl::IsAborted(queue_.Fail(stale, "INTERNAL", "", clock_.Now())));
  EXPECT_TRUE(absl::IsAborted(queue_.Release(stale)));
  EXPECT_EQ(Get("a").status, JobStatus::kRunning);
  EXPECT_EQ(Get("a").progress.done, 0);
  EXPECT_TRUE(queue_.Succeed(current, "{}").ok());
  EXPECT_TRUE(absl::IsAborted(queue_.Succeed(current, "{}")));
}

TEST_F(JobQueueTest, AReleasedJobIsDueAtOnceAndTheAttemptDoesntCount) {
  Add("a");
  const Job first = Claimed("first");
  ASSERT_TRUE(queue_.Release(first).ok());
  EXPECT_EQ(Get("a").attempts, 0);
  const Job second = Claimed("second");
  EXPECT_EQ(second.attempts, 1);  // the number of the first again: the worker tells them apart
  EXPECT_TRUE(absl::IsAborted(queue_.Succeed(first, "{}")));
  EXPECT_TRUE(queue_.Succeed(second, "{}").ok());
}

TEST_F(JobQueueTest, JobsOfWorkersThatAreGoneAreDueAtOnceAndTheirAttemptsCount) {
  Add("a");
  Add("b");
  const Job gone = Claimed("gone");
  const Job alive = Claimed("alive");
  const auto released =
      queue_.ReleaseAbandoned([](const std::string& worker) { return worker == "gone"; });
  EXPECT_EQ(*released, 1);
  const Job again = Claimed("next");
  EXPECT_EQ(again.id, gone.id);
  EXPECT_EQ(again.attempts, 2);
  EXPECT_TRUE(absl::IsAborted(queue_.Succeed(gone, "{}")));
  EXPECT_TRUE(queue_.Succeed(alive, "{}").ok());
}

TEST_F(JobQueueTest, NothingIsDueInAnEmptyQueue) {
  EXPECT_EQ(*queue_.NextDue(), absl::InfiniteFuture());
  Add("a");
  EXPECT_EQ(*queue_.NextDue(), clock_.Now());
  ASSERT_TRUE(queue_.Succeed(Claimed("w"), "{}").ok());
  EXPECT_EQ(*queue_.NextDue(), absl::InfiniteFuture());
}

TEST_F(JobQueueTest, RacingWorkersNeverShareAJob) {
  for (int i = 0; i < 100; ++i) Add(absl::StrCat("j", i));
  std::atomic<int> claims{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (;;) {
        const auto job = queue_.Claim(absl::StrCat("w", t), kLease);
        ASSERT_TRUE(job.ok()) << job.status();
        if (!job->has_value()) return;
        ++claims;
        EXPECT_TRUE(queue_.Succeed(**job, "{}").ok());
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(claims, 100);
}

TEST_F(JobQueueTest, ListsGoNewestFirstWithoutParams) {
  for (const char* id : {"a", "b", "c"}) Add(id);  // at one time: the id decides
  auto page = queue_.List("default", 2, "");
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_EQ(page->jobs.size(), 2u);
  EXPECT_EQ(page->jobs[0].id, JobId("c"));
  EXPECT_EQ(page->jobs[0].params, "");
  EXPECT_EQ(page->jobs[1].id, JobId("b"));
  page = queue_.List("default", 2, page->next_page_token);
  ASSERT_EQ(page->jobs.size(), 1u);
  EXPECT_EQ(page->jobs[0].id, JobId("a"));
  EXPECT_EQ(page->next_page_token, "");
  EXPECT_TRUE(queue_.List("another", 2, "")->jobs.empty());  // a tenant sees its own alone
  EXPECT_EQ(ReasonOf(queue_.List("default", 2, "garbage").status()), Reason::PAGE_TOKEN_INVALID);
}

TEST_F(JobQueueTest, AListEndsWhereItsResultsAreTooMuchForAMessage) {
  constexpr int kJobs = 6;
  for (int i = 0; i < kJobs; ++i) {
    Add(absl::StrCat("j", i));
    const auto job = queue_.Claim("worker", absl::Seconds(15));
    ASSERT_TRUE(job.ok() && job->has_value());
    ASSERT_TRUE(queue_.Succeed(**job, std::string(1 << 20, 'x')).ok());
  }
  const auto first = queue_.List("default", 1000, "");
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->jobs.size(), 4u);
  const auto second = queue_.List("default", 1000, first->next_page_token);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->jobs.size(), 2u);
  EXPECT_EQ(second->next_page_token, "");
}

TEST_F(JobQueueTest, TheTableRefusesAStateThatCannotBe) {
  Add("a");
  for (const char* change :
       {"status = 'DONE'", "status = 'RUNNING'", "status = 'SUCCEEDED'", "status = 'FAILED'",
        "worker = 'w'", "result = '{}'", "finished_at = 1", "attempts = -1"}) {
    const absl::Status status = database_->Write([&](storage::Session& session) {
      return session.Execute(absl::StrCat("UPDATE jobs SET ", change), {}).status();
    });
    EXPECT_EQ(ReasonOf(status), Reason::INTERNAL) << change;
  }
}

}  // namespace
}  // namespace aibackend::jobs
