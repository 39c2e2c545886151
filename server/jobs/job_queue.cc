#include "server/jobs/job_queue.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/base/text.h"
#include "server/storage/page_cursor.h"

namespace aibackend::jobs {
namespace {

using storage::Row;
using storage::Session;
using storage::Value;

constexpr int kPageSizeMax = 1000;
constexpr size_t kPageBytesMax = size_t{4} << 20;  // of results: as a message they weigh more
constexpr size_t kMessageBytesMax = 4096;          // an error message is for a person to read

#define AIB_JOB_COLUMNS                                                            \
  "status, progress_done, progress_total, progress_message, result, error_reason," \
  " error_message, attempts, worker, created_at, started_at, finished_at, id, kind, tenant"

// What fences a report off: $1 the id, $2 and $3 the claim that reports; $4…$6 the progress.
#define AIB_REPORT_SET \
  "UPDATE jobs SET progress_done = $4, progress_total = $5, progress_message = $6,"
#define AIB_REPORT_WHERE " WHERE id = $1 AND status = 'RUNNING' AND attempts = $2 AND worker = $3"

constexpr char kInsert[] =
    "INSERT INTO jobs (id, kind, params, status, progress_done, progress_total, progress_message,"
    " error_reason, error_message, attempts, run_at, created_at, tenant)"
    " VALUES ($1, $2, $3, 'QUEUED', 0, 0, '', '', '', 0, $4, $4, $5)";

constexpr char kInsertOnce[] =
    "INSERT INTO jobs (id, kind, params, status, progress_done, progress_total, progress_message,"
    " error_reason, error_message, attempts, run_at, created_at, tenant,"
    " idempotency_key, idempotency_fingerprint)"
    " VALUES ($1, $2, $3, 'QUEUED', 0, 0, '', '', '', 0, $4, $4, $5, $6, $7)"
    " ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING";

constexpr char kByKey[] = "SELECT " AIB_JOB_COLUMNS
                          ", params, idempotency_fingerprint FROM jobs WHERE idempotency_key = $1";

constexpr char kClaim[] =
    "UPDATE jobs SET status = 'RUNNING', worker = $1, run_at = $2, attempts = attempts + 1,"
    " started_at = COALESCE(started_at, $3)"
    " WHERE id = (SELECT id FROM jobs WHERE status IN ('QUEUED', 'RUNNING') AND run_at <= $3"
    "             ORDER BY run_at, id LIMIT 1)"
    " RETURNING " AIB_JOB_COLUMNS ", params";

constexpr char kFirstPage[] =
    "SELECT " AIB_JOB_COLUMNS
    ", '' FROM jobs WHERE tenant = $2 ORDER BY created_at DESC, id DESC LIMIT $1";

constexpr char kNextPage[] = "SELECT " AIB_JOB_COLUMNS
                             ", '' FROM jobs WHERE tenant = $2 AND (created_at, id) < ($3, $4)"
                             " ORDER BY created_at DESC, id DESC LIMIT $1";

constexpr JobStatus kStatuses[] = {JobStatus::kQueued, JobStatus::kRunning, JobStatus::kSucceeded,
                                   JobStatus::kFailed, JobStatus::kCancelled};

JobStatus ParseStatus(const std::string& name) {
  for (const JobStatus status : kStatuses) {
    if (name == JobStatusName(status)) return status;
  }
  return JobStatus::kFailed;  // the table's CHECK admits no other name
}

absl::Time TimeOrNotYet(const Row& row, int column) {
  return row.IsNull(column) ? absl::InfinitePast() : absl::FromUnixMicros(row.Int(column));
}

Job ReadJob(const Row& row) {
  Job job;
  job.status = ParseStatus(row.Text(0));
  job.progress = {row.Int(1), row.Int(2), row.Text(3)};
  job.result = row.Text(4);
  job.error_reason = row.Text(5);
  job.error_message = row.Text(6);
  job.attempts = static_cast<int>(row.Int(7));
  job.worker = row.Text(8);
  job.created_at = absl::FromUnixMicros(row.Int(9));
  job.started_at = TimeOrNotYet(row, 10);
  job.finished_at = TimeOrNotYet(row, 11);
  job.id = JobId(row.Text(12));
  job.kind = row.Text(13);
  job.tenant = row.Text(14);
  job.params = row.Text(15);
  return job;
}

}  // namespace

absl::Status NoSuchJob() {
  return MakeError(Reason::JOB_NOT_FOUND, "there is no job of this id", "job_id");
}

const char* JobStatusName(JobStatus status) {
  switch (status) {
    case JobStatus::kQueued:
      return "QUEUED";
    case JobStatus::kRunning:
      return "RUNNING";
    case JobStatus::kSucceeded:
      return "SUCCEEDED";
    case JobStatus::kCancelled:
      return "CANCELLED";
    case JobStatus::kFailed:
      break;
  }
  return "FAILED";
}

JobQueue::JobQueue(storage::Database& database, Clock& clock)
    : database_(database), clock_(clock) {}

absl::Status JobQueue::Enqueue(const Job& job) {
  return database_.Write([&](Session& session) {
    return session
        .Execute(kInsert, {job.id.value, job.kind, job.params, absl::ToUnixMicros(job.created_at),
                           job.tenant})
        .status();
  });
}

absl::StatusOr<Job> JobQueue::EnqueueOnce(const Job& job, const SubmitKey& once) {
  absl::optional<Job> stored;
  std::string fingerprint;
  AIB_RETURN_IF_ERROR(database_.Write([&](Session& session) -> absl::Status {
    AIB_RETURN_IF_ERROR(session
                            .Execute(kInsertOnce, {job.id.value, job.kind, job.params,
                                                   absl::ToUnixMicros(job.created_at), job.tenant,
                                                   once.key, once.fingerprint})
                            .status());
    return session.Query(kByKey, {once.key}, [&](const Row& row) {
      stored = ReadJob(row);
      fingerprint = row.Text(16);
    });
  }));
  if (!stored) return absl::InternalError("a job that was stored isn't there");
  if (fingerprint != once.fingerprint) {
    return MakeError(Reason::IDEMPOTENCY_KEY_REUSED,
                     "this idempotency-key came before with another job");
  }
  return *std::move(stored);
}

absl::StatusOr<Job> JobQueue::Get(const JobId& id) {
  absl::optional<Job> job;
  AIB_RETURN_IF_ERROR(database_.Read([&](Session& session) {
    return session.Query("SELECT " AIB_JOB_COLUMNS ", params FROM jobs WHERE id = $1", {id.value},
                         [&](const Row& row) { job = ReadJob(row); });
  }));
  if (!job) return NoSuchJob();
  return *std::move(job);
}

absl::StatusOr<JobPage> JobQueue::List(const std::string& tenant, int page_size,
                                       const std::string& page_token) {
  const size_t limit = std::clamp(page_size, 1, kPageSizeMax);
  // One more than asked for tells whether there is a next page.
  std::vector<Value> parameters = {static_cast<int64_t>(limit + 1), tenant};
  if (!page_token.empty()) {
    AIB_ASSIGN_OR_RETURN(storage::PageCursor cursor, storage::DecodePageToken(page_token));
    parameters.insert(parameters.end(), {cursor.at_us, std::move(cursor.id)});
  }
  JobPage page;
  bool has_more = false;
  AIB_RETURN_IF_ERROR(database_.Read([&](Session& session) {
    page.jobs.clear();
    has_more = false;
    size_t bytes = 0;
    const auto take = [&](const Row& row) {
      has_more = has_more || page.jobs.size() == limit || bytes >= kPageBytesMax;
      if (has_more) return;
      page.jobs.push_back(ReadJob(row));
      bytes += page.jobs.back().result.size();
    };
    return session.Query(page_token.empty() ? kFirstPage : kNextPage, parameters, take);
  }));
  if (has_more) {
    const Job& last = page.jobs.back();
    page.next_page_token =
        storage::EncodePageToken({absl::ToUnixMicros(last.created_at), last.id.value});
  }
  return page;
}

absl::StatusOr<absl::optional<Job>> JobQueue::Claim(const std::string& worker,
                                                    absl::Duration lease) {
  absl::optional<Job> job;
  AIB_RETURN_IF_ERROR(database_.Write([&](Session& session) {
    job.reset();
    const absl::Time now = clock_.Now();
    return session.Query(kClaim, {worker, absl::ToUnixMicros(now + lease), absl::ToUnixMicros(now)},
                         [&](const Row& row) { job = ReadJob(row); });
  }));
  return job;
}

absl::Status JobQueue::Report(const Job& job, absl::string_view sql,
                              std::vector<Value> parameters) {
  std::vector<Value> all = {job.id.value,      int64_t{job.attempts}, job.worker,
                            job.progress.done, job.progress.total,    job.progress.message};
  all.insert(all.end(), std::make_move_iterator(parameters.begin()),
             std::make_move_iterator(parameters.end()));
  int64_t changed = 0;
  AIB_RETURN_IF_ERROR(database_.Write([&](Session& session) -> absl::Status {
    AIB_ASSIGN_OR_RETURN(changed, session.Execute(sql, all));
    return absl::OkStatus();
  }));
  if (changed > 0) return absl::OkStatus();
  return absl::AbortedError(absl::StrCat("job ", job.id.value, " is no longer at attempt ",
                                         job.attempts, " of this worker"));
}

absl::Status JobQueue::Heartbeat(const Job& job, const JobProgress& progress,
                                 absl::Duration lease) {
  Job now = job;
  now.progress = progress;
  return Report(now, AIB_REPORT_SET " run_at = $7" AIB_REPORT_WHERE,
                {absl::ToUnixMicros(clock_.Now() + lease)});
}

absl::Status JobQueue::Succeed(const Job& job, const std::string& result) {
  return Report(job,
                AIB_REPORT_SET
                " status = 'SUCCEEDED', result = $7, finished_at = $8, worker = NULL,"
                " error_reason = '', error_message = ''" AIB_REPORT_WHERE,
                {result, absl::ToUnixMicros(clock_.Now())});
}

absl::Status JobQueue::Fail(const Job& job, absl::string_view reason, absl::string_view message,
                            absl::optional<absl::Time> retry_at, bool counts) {
  const absl::string_view kept = Utf8Prefix(message, kMessageBytesMax);
  std::vector<Value> parameters = {std::string(reason), std::string(kept),
                                   absl::ToUnixMicros(retry_at.value_or(clock_.Now()))};
  if (retry_at) {
    parameters.emplace_back(int64_t{counts ? 0 : 1});
    return Report(job,
                  AIB_REPORT_SET
                  " status = 'QUEUED', run_at = $9, worker = NULL, error_reason = $7,"
                  " error_message = $8, attempts = attempts - $10" AIB_REPORT_WHERE,
                  std::move(parameters));
  }
  return Report(job,
                AIB_REPORT_SET
                " status = 'FAILED', finished_at = $9, worker = NULL, error_reason = $7,"
                " error_message = $8" AIB_REPORT_WHERE,
                std::move(parameters));
}

absl::Status JobQueue::Release(const Job& job) {
  return Report(job,
                AIB_REPORT_SET
                " status = 'QUEUED', run_at = $7, worker = NULL,"
                " attempts = attempts - 1" AIB_REPORT_WHERE,
                {absl::ToUnixMicros(clock_.Now())});
}

absl::StatusOr<int64_t> JobQueue::ReleaseAbandoned(
    absl::FunctionRef<bool(const std::string&)> is_gone) {
  int64_t released = 0;
  const auto release = [&](Session& session) -> absl::Status {
    released = 0;
    std::vector<std::string> gone;
    AIB_RETURN_IF_ERROR(session.Query("SELECT DISTINCT worker FROM jobs WHERE status = 'RUNNING'",
                                      {}, [&](const Row& row) {
                                        if (is_gone(row.Text(0))) gone.push_back(row.Text(0));
                                      }));
    for (const std::string& worker : gone) {
      AIB_ASSIGN_OR_RETURN(
          const int64_t changed,
          session.Execute("UPDATE jobs SET status = 'QUEUED', run_at = $2, worker = NULL"
                          " WHERE status = 'RUNNING' AND worker = $1",
                          {worker, absl::ToUnixMicros(clock_.Now())}));
      released += changed;
    }
    return absl::OkStatus();
  };
  AIB_RETURN_IF_ERROR(database_.Write(release));
  return released;
}

absl::StatusOr<absl::Time> JobQueue::NextDue() {
  absl::Time due = absl::InfiniteFuture();
  AIB_RETURN_IF_ERROR(database_.Read([&](Session& session) {
    return session.Query("SELECT MIN(run_at) FROM jobs WHERE status IN ('QUEUED', 'RUNNING')", {},
                         [&](const Row& row) {
                           if (!row.IsNull(0)) due = absl::FromUnixMicros(row.Int(0));
                         });
  }));
  return due;
}

}  // namespace aibackend::jobs
