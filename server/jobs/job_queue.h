// The durable queue: jobs in the database, claimed under a lease.
#pragma once

#include <string>
#include <vector>

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

// Thread-safe; every call blocks on the database. State machine, enforced by a CHECK and by the
// WHERE of each statement:
//   QUEUED → RUNNING → SUCCEEDED | FAILED | QUEUED (again, at `run_at`);  QUEUED | RUNNING →
//   CANCELLED
// A claim counts an attempt. Reports of a worker whose attempt number is no longer the job's are
// refused with ABORTED (fencing), so a worker that lost its lease can change nothing.
class JobQueue {
 public:
  JobQueue(storage::Database& database, Clock& clock);

  absl::Status Enqueue(const Job& job);
  absl::StatusOr<Job> Get(const JobId& id);  // JOB_NOT_FOUND
  absl::StatusOr<JobPage> List(int page_size, const std::string& page_token);

  // The oldest job that is due, or whose lease ran out; nothing if there is none.
  absl::StatusOr<absl::optional<Job>> Claim(const std::string& worker, absl::Duration lease);

  // Renews the lease and stores the progress.
  absl::Status Heartbeat(const Job& job, const JobProgress& progress, absl::Duration lease);
  absl::Status Succeed(const Job& job, const std::string& result);
  // Ends the job, or queues it again at `retry_at`.
  absl::Status Fail(const Job& job, absl::string_view reason, absl::string_view message,
                    absl::optional<absl::Time> retry_at);
  // Gives the job back unchanged, for a worker that shuts down: it is due at once and the attempt
  // does not count.
  absl::Status Release(const Job& job);

  // When the next queued job is due, for the runner's wait; InfiniteFuture if none is queued.
  absl::StatusOr<absl::Time> NextDue();

 private:
  storage::Database& database_;
  Clock& clock_;
};

}  // namespace aibackend::jobs
