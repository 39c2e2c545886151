#include "server/jobs/job_runner.h"

#include <algorithm>
#include <exception>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "server/base/status.h"
#include "server/base/text.h"
#include "spdlog/spdlog.h"

namespace aibackend::jobs {
namespace {

constexpr absl::Duration kProgressEvery = absl::Milliseconds(250);  // about 4 writes a second a job
constexpr size_t kProgressBytesMax = 1024;                          // of its message

// Between two tries to report a job's end to a database that is away: uniform over 0 to this.
constexpr absl::Duration kReportPause = absl::Seconds(1);

bool MayPass(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsAborted(status) ||
         absl::IsDeadlineExceeded(status) || absl::IsResourceExhausted(status);
}

// What Run gives, or the status that stands for the exception it threw.
absl::StatusOr<Json> RunGuarded(JobKind& kind, const std::string& params, JobContext& context) {
  try {
    return kind.Run(Json::parse(params), context);
  } catch (const std::exception& e) {
    return MakeError(Reason::INTERNAL, absl::StrCat("the job threw: ", e.what()));
  } catch (...) {
    return MakeError(Reason::INTERNAL, "the job threw");
  }
}

// Text that isn't UTF-8 is shown as such, not refused: the work is done.
std::string ResultText(const Json& result) {
  return result.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

struct JobRunner::Impl {
  class Running;

  Impl(JobQueue& q, IdSource& i, Clock& c, std::vector<std::unique_ptr<JobKind>> k, Options o)
      : queue(q), ids(i), clock(c), kinds(std::move(k)), options(std::move(o)) {}

  JobKind* Find(const std::string& kind) const;
  absl::StatusOr<Job> NewJob(const std::string& kind, const Json& params);

  void Work();
  absl::StatusOr<bool> ClaimAndRun();
  void WaitForWork(uint64_t submits_seen, bool database_answers);

  void Run(Job job);
  void Finish(Running& running, const absl::StatusOr<Json>& result);
  absl::Status ReportEnd(const Running& running, const absl::StatusOr<Json>& result);
  absl::Status ReportFailure(const Job& job, const absl::Status& failure, bool advanced);
  bool IsTriedAgain(const Job& job, const absl::Status& failure, bool advanced) const;
  bool PauseBeforeReport(const Running& running);
  absl::Duration Backoff(int attempt);

  void KeepLeases();
  void Renew(Running& running) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);

  JobQueue& queue;
  IdSource& ids;
  Clock& clock;
  const std::vector<std::unique_ptr<JobKind>> kinds;
  const Options options;

  absl::Mutex mutex;
  absl::CondVar work_changed;    // submits, stopping: for the workers
  absl::CondVar leases_changed;  // running, their progress, keeper_stopping: for the keeper
  uint64_t submits ABSL_GUARDED_BY(mutex) = 0;
  bool stopping ABSL_GUARDED_BY(mutex) = false;
  bool keeper_stopping ABSL_GUARDED_BY(mutex) = false;
  absl::flat_hash_set<std::shared_ptr<Running>> running_jobs ABSL_GUARDED_BY(mutex);
  absl::BitGen random ABSL_GUARDED_BY(mutex);
  std::vector<std::thread> workers ABSL_GUARDED_BY(mutex);
  std::thread keeper ABSL_GUARDED_BY(mutex);
};

// A job in a worker's hands. The runner's mutex guards what changes.
class JobRunner::Impl::Running final : public JobContext {
 public:
  Running(Impl& runner, Job job)
      : runner_(runner), job_(std::move(job)), progress(job_.progress), renewed_at(absl::Now()) {}

  const Job& job() const { return job_; }
  const JobId& job_id() const override { return job_.id; }
  int attempt() const override { return job_.attempts; }

  void ReportProgress(int64_t done, int64_t total, absl::string_view message) override {
    absl::MutexLock lock(&runner_.mutex);
    progress = {done, total, std::string(Utf8Prefix(message, kProgressBytesMax))};
    if (!std::exchange(progress_changed, true)) runner_.leases_changed.Signal();
  }

  void NoteAdvance() override {
    absl::MutexLock lock(&runner_.mutex);
    advanced = true;
  }

  absl::Status CheckAlive() override {
    absl::MutexLock lock(&runner_.mutex);
    if (lost) return absl::AbortedError("the job's lease was lost");
    if (runner_.stopping) return MakeError(Reason::DRAINING, "the server is shutting down");
    return absl::OkStatus();
  }

  // When the keeper should write, by its own time, not the queue's clock.
  absl::Time WriteDue() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(runner_.mutex) {
    if (lost) return absl::InfiniteFuture();
    return asked_at + (progress_changed ? kProgressEvery : runner_.options.lease / 3);
  }

 private:
  Impl& runner_;
  const Job job_;  // as it was claimed

 public:
  JobProgress progress ABSL_GUARDED_BY(runner_.mutex);
  bool progress_changed ABSL_GUARDED_BY(runner_.mutex) = false;
  bool advanced ABSL_GUARDED_BY(runner_.mutex) = false;
  bool lost ABSL_GUARDED_BY(runner_.mutex) = false;
  absl::Time renewed_at ABSL_GUARDED_BY(runner_.mutex);
  absl::Time asked_at ABSL_GUARDED_BY(runner_.mutex) = renewed_at;  // for the last renewal
};

JobRunner::JobRunner(JobQueue& queue, IdSource& ids, Clock& clock,
                     std::vector<std::unique_ptr<JobKind>> kinds, Options options)
    : impl_(std::make_unique<Impl>(queue, ids, clock, std::move(kinds), std::move(options))) {}

JobRunner::~JobRunner() {
  Stop();
}

absl::StatusOr<Job> JobRunner::Submit(const std::string& kind, const Json& params,
                                      const std::string& tenant,
                                      const absl::optional<SubmitKey>& once) {
  AIB_ASSIGN_OR_RETURN(Job job, impl_->NewJob(kind, params));
  job.tenant = tenant;
  if (once) {
    AIB_ASSIGN_OR_RETURN(job, impl_->queue.EnqueueOnce(job, *once));
  } else {
    AIB_RETURN_IF_ERROR(impl_->queue.Enqueue(job));
  }
  absl::MutexLock lock(&impl_->mutex);
  ++impl_->submits;
  impl_->work_changed.SignalAll();
  return job;
}

bool JobRunner::NeedsAdmin(const std::string& kind) const {
  const JobKind* found = impl_->Find(kind);
  return found != nullptr && found->needs_admin();
}

void JobRunner::Start() {
  const auto released = impl_->queue.ReleaseAbandoned(WorkerIsGone);
  if (!released.ok()) {
    spdlog::warn("jobs: those of earlier processes wait for the end of their leases: {}",
                 ToStd(released.status().message()));
  } else if (*released > 0) {
    spdlog::info("jobs: took back {} of earlier processes", *released);
  }
  absl::MutexLock lock(&impl_->mutex);
  impl_->keeper = std::thread([this] { impl_->KeepLeases(); });
  for (int i = 0; i < std::max(1, impl_->options.threads); ++i) {
    impl_->workers.emplace_back([this] { impl_->Work(); });
  }
}

void JobRunner::Stop() {
  std::vector<std::thread> workers;
  std::thread keeper;
  {
    absl::MutexLock lock(&impl_->mutex);
    impl_->stopping = true;
    impl_->work_changed.SignalAll();
    workers.swap(impl_->workers);
    keeper.swap(impl_->keeper);
  }
  for (auto& worker : workers) worker.join();
  {
    // Only now: the leases are kept until the last job is handed back.
    absl::MutexLock lock(&impl_->mutex);
    impl_->keeper_stopping = true;
    impl_->leases_changed.Signal();
  }
  if (keeper.joinable()) keeper.join();
}

JobKind* JobRunner::Impl::Find(const std::string& kind) const {
  for (const auto& known : kinds) {
    if (known->name() == kind) return known.get();
  }
  return nullptr;
}

absl::StatusOr<Job> JobRunner::Impl::NewJob(const std::string& kind, const Json& params) {
  const JobKind* found = Find(kind);
  if (found == nullptr) {
    const std::string known =
        absl::StrJoin(kinds, ", ", [](std::string* out, const auto& k) { *out += k->name(); });
    return MakeError(Reason::JOB_KIND_UNKNOWN, absl::StrCat("kind is one of: ", known), "kind");
  }
  AIB_RETURN_IF_ERROR(found->Validate(params));
  Job job;
  try {
    job.params = params.dump();
  } catch (const Json::exception&) {
    return MakeError(Reason::INVALID_UTF8, "params must be UTF-8", "params");
  }
  if (job.params.size() > kParamsBytesMax) {
    return MakeError(Reason::REQUEST_TOO_LARGE,
                     absl::StrCat("params are ", job.params.size(), " bytes as JSON, and at most ",
                                  kParamsBytesMax, " are taken"),
                     "params");
  }
  job.id = JobId(ids.Next("job_"));
  job.kind = kind;
  job.created_at = clock.Now();
  return job;
}

void JobRunner::Impl::Work() {
  for (;;) {
    uint64_t submits_seen = 0;
    {
      absl::MutexLock lock(&mutex);
      if (stopping) return;
      submits_seen = submits;
    }
    const absl::StatusOr<bool> ran = ClaimAndRun();
    if (!ran.ok()) spdlog::warn("jobs: can't claim: {}", ToStd(ran.status().message()));
    if (!ran.ok() || !*ran) WaitForWork(submits_seen, ran.ok());
  }
}

absl::StatusOr<bool> JobRunner::Impl::ClaimAndRun() {
  AIB_ASSIGN_OR_RETURN(absl::optional<Job> job, queue.Claim(options.worker_id, options.lease));
  if (!job) return false;
  Run(*std::move(job));
  return true;
}

// Until a job is submitted here, the next is due, or another process may have queued one.
void JobRunner::Impl::WaitForWork(uint64_t submits_seen, bool database_answers) {
  absl::Duration wait = options.poll;
  if (database_answers) {
    if (const auto due = queue.NextDue(); due.ok()) wait = std::min(wait, *due - clock.Now());
  }
  const absl::Time until = absl::Now() + wait;
  absl::MutexLock lock(&mutex);
  while (!stopping && submits == submits_seen) {
    if (work_changed.WaitWithDeadline(&mutex, until)) return;
  }
}

void JobRunner::Impl::Run(Job job) {
  spdlog::info("jobs: {} {} attempt {}", job.kind, job.id.value, job.attempts);
  auto running = std::make_shared<Running>(*this, std::move(job));
  {
    absl::MutexLock lock(&mutex);
    running_jobs.insert(running);
    leases_changed.Signal();
  }
  JobKind* kind = Find(running->job().kind);
  if (running->job().attempts > options.attempts_max) {
    Finish(*running, MakeError(Reason::INTERRUPTED, "the process ended during the last attempt"));
  } else if (kind == nullptr) {
    Finish(*running, MakeError(Reason::JOB_KIND_UNKNOWN, "this server doesn't know the kind"));
  } else {
    Finish(*running, RunGuarded(*kind, running->job().params, *running));
  }
  absl::MutexLock lock(&mutex);
  running_jobs.erase(running);
}

// Tells the queue, again and again while the database is away and the lease is not lost.
void JobRunner::Impl::Finish(Running& running, const absl::StatusOr<Json>& result) {
  absl::Status reported;
  do {
    reported = ReportEnd(running, result);
  } while (absl::IsUnavailable(reported) && PauseBeforeReport(running));
  const Job& job = running.job();
  if (!reported.ok()) {
    spdlog::warn("jobs: {} {} attempt {}: its end was not kept: {}", job.kind, job.id.value,
                 job.attempts, ToStd(reported.message()));
    return;
  }
  spdlog::info("jobs: {} {} attempt {} ended: {}", job.kind, job.id.value, job.attempts,
               result.ok() ? "OK" : ReasonName(ReasonOf(result.status())));
  bool advanced = false;
  {
    absl::MutexLock lock(&mutex);
    advanced = running.advanced;
  }
  const bool is_over = result.ok() || !IsTriedAgain(job, result.status(), advanced);
  if (is_over && options.on_end) {
    options.on_end(job.kind, result.ok() ? JobStatus::kSucceeded : JobStatus::kFailed);
  }
}

absl::Status JobRunner::Impl::ReportEnd(const Running& running,
                                        const absl::StatusOr<Json>& result) {
  Job job = running.job();
  bool draining = false;
  bool advanced = false;
  {
    absl::MutexLock lock(&mutex);
    if (running.lost) return absl::AbortedError("its lease was lost");
    job.progress = running.progress;
    draining = stopping;
    advanced = running.advanced;
  }
  if (result.ok()) return queue.Succeed(job, ResultText(*result));
  if (draining && MayPass(result.status()) && job.attempts <= options.attempts_max) {
    return queue.Release(job);
  }
  return ReportFailure(job, result.status(), advanced);
}

bool JobRunner::Impl::IsTriedAgain(const Job& job, const absl::Status& failure,
                                   bool advanced) const {
  return MayPass(failure) && (advanced || job.attempts < options.attempts_max);
}

absl::Status JobRunner::Impl::ReportFailure(const Job& job, const absl::Status& failure,
                                            bool advanced) {
  const std::string& reason = ReasonName(ReasonOf(failure));
  if (!MayPass(failure)) return queue.Fail(job, reason, failure.message(), absl::nullopt);
  if (IsTriedAgain(job, failure, advanced)) {
    const absl::Duration asked =
        std::min(RetryAfterOf(failure).value_or(absl::ZeroDuration()), options.retry_after_max);
    const absl::Time retry_at = clock.Now() + std::max(asked, Backoff(job.attempts));
    return queue.Fail(job, reason, failure.message(), retry_at, /*counts=*/!advanced);
  }
  return queue.Fail(
      job, reason,
      absl::StrCat("gave up after ", options.attempts_max, " attempts: ", failure.message()),
      absl::nullopt);
}

// False when the lease is lost: another worker has the job, or will have.
bool JobRunner::Impl::PauseBeforeReport(const Running& running) {
  absl::MutexLock lock(&mutex);
  const absl::Time until = absl::Now() + absl::Uniform(random, 0.0, 1.0) * kReportPause;
  while (!running.lost && !work_changed.WaitWithDeadline(&mutex, until)) {
  }
  return !running.lost;
}

absl::Duration JobRunner::Impl::Backoff(int attempt) {
  absl::Duration most = options.backoff_start;
  for (int i = 1; i < attempt && most < options.backoff_max; ++i) most *= 2;
  absl::MutexLock lock(&mutex);
  return absl::Uniform(random, 0.0, 1.0) * std::min(most, options.backoff_max);
}

void JobRunner::Impl::KeepLeases() {
  absl::MutexLock lock(&mutex);
  while (!keeper_stopping) {
    std::shared_ptr<Running> next;
    for (const auto& running : running_jobs) {
      if (next == nullptr || running->WriteDue() < next->WriteDue()) next = running;
    }
    const absl::Time due = next == nullptr ? absl::InfiniteFuture() : next->WriteDue();
    if (absl::Now() < due) {
      leases_changed.WaitWithDeadline(&mutex, due);
    } else {
      Renew(*next);
    }
  }
}

// Lets go of the mutex while the database works.
void JobRunner::Impl::Renew(Running& running) {
  const JobProgress progress = running.progress;
  running.progress_changed = false;
  const absl::Time asked_at = running.asked_at = absl::Now();
  mutex.Unlock();
  const absl::Status status = queue.Heartbeat(running.job(), progress, options.lease);
  mutex.Lock();
  if (status.ok()) {
    running.renewed_at = asked_at;
  } else if (absl::IsAborted(status) || absl::Now() >= running.renewed_at + options.lease) {
    running.lost = true;
    spdlog::warn("jobs: {} lost its lease: {}", running.job_id().value, ToStd(status.message()));
  } else {
    running.progress_changed = true;  // soon again
  }
}

}  // namespace aibackend::jobs
