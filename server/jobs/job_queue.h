// The durable queue: jobs in the database, claimed under a lease.
#pragma once

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "server/base/clock.h"
#include "server/jobs/job.h"
#include "server/storage/database.h"

namespace aibackend::jobs {

struct JobPage {
  std::vector<Job> jobs;  // newest first, without params
  std::string next_page_token;
};

// JOB_NOT_FOUND, also for another tenant's.
absl::Status NoSuchJob();

// Thread-safe; every call blocks on the database. State machine, enforced by a CHECK and by the
// WHERE of each statement:
//   QUEUED → RUNNING → SUCCEEDED | FAILED | QUEUED (again, at `run_at`);  QUEUED | RUNNING →
//   CANCELLED
// A claim counts an attempt. Reports of a worker that no longer holds the job, or whose attempt
// number is no longer the job's, are refused with ABORTED (fencing): a worker that lost its lease
// can change nothing. Reports store the progress of the job they are given.
class JobQueue {
 public:
  JobQueue(storage::Database& database, Clock& clock);

  // Stores a new job, due at its `created_at`.
  absl::Status Enqueue(const Job& job);
  // The same, unless a job of this key was stored before, whatever has become of it: then gives
  // that one. Of two at the same moment one stores. IDEMPOTENCY_KEY_REUSED where the fingerprints
  // differ.
  absl::StatusOr<Job> EnqueueOnce(const Job& job, const SubmitKey& once);
  absl::StatusOr<Job> Get(const JobId& id);  // JOB_NOT_FOUND
  // Those of a tenant. `page_size` is brought to 1…1000; a page ends sooner where its results come
  // to 4 MiB. Fails with PAGE_TOKEN_INVALID.
  absl::StatusOr<JobPage> List(const std::string& tenant, int page_size,
                               const std::string& page_token);

  // The oldest job that is due, or whose lease ran out; nothing if there is none.
  absl::StatusOr<absl::optional<Job>> Claim(const std::string& worker, absl::Duration lease);

  // Renews the lease and stores the progress.
  absl::Status Heartbeat(const Job& job, const JobProgress& progress, absl::Duration lease);
  absl::Status Succeed(const Job& job, const std::string& result);
  // Ends the job, or queues it again at `retry_at`; where it doesn't count, as if the attempt had
  // not been.
  absl::Status Fail(const Job& job, absl::string_view reason, absl::string_view message,
                    absl::optional<absl::Time> retry_at, bool counts = true);
  // Gives the job back, for a worker that shuts down: it is due at once and the attempt does not
  // count.
  absl::Status Release(const Job& job);
  // Makes the running jobs of workers that are gone due at once; how many. Their attempts count: a
  // job that kills its process must not do so for ever.
  absl::StatusOr<int64_t> ReleaseAbandoned(absl::FunctionRef<bool(const std::string&)> is_gone);

  // When Claim can next succeed, for the runner's wait: a queued job is due then, or a running
  // one's lease ends. InfiniteFuture if there is neither.
  absl::StatusOr<absl::Time> NextDue();

 private:
  // Runs an UPDATE that is fenced: ABORTED where it changes nothing.
  absl::Status Report(const Job& job, absl::string_view sql,
                      std::vector<storage::Value> parameters);

  storage::Database& database_;
  Clock& clock_;
};

}  // namespace aibackend::jobs
