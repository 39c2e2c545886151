// Runs jobs of the queue on threads of its own.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "server/base/clock.h"
#include "server/base/ids.h"
#include "server/jobs/job.h"
#include "server/jobs/job_queue.h"
#include "server/jobs/worker_id.h"

namespace aibackend::jobs {

// Thread-safe. Knows no job kind by name. Submit works without Start, for a process that only takes
// jobs in.
//
// A job that fails for now is tried again, attempts_max times in all, but for attempts that
// advanced it (JobContext::NoteAdvance); an exception that escapes a
// kind ends its job with INTERNAL. Leases are renewed every third of their time on a thread of
// their own, so a long step of a job doesn't lose its lease.
class JobRunner {
 public:
  static constexpr size_t kParamsBytesMax = 16 << 20;  // as JSON text; the contract's limit

  struct Options {
    int threads = 1;
    absl::Duration lease = absl::Seconds(15);
    absl::Duration poll =
        absl::Seconds(2);  // for jobs that other processes queue; own ones wake it at once
    int attempts_max = 5;
    std::string worker_id = MakeWorkerId();
    // A job of this kind has ended so, for good. Called on a worker's thread; must not block.
    std::function<void(const std::string& kind, JobStatus status)> on_end;
    // Before attempt n + 1: uniform over 0 to start · 2ⁿ⁻¹, at most max (full jitter; Brooker,
    // "Exponential Backoff and Jitter", AWS Architecture Blog 2015).
    absl::Duration backoff_start = absl::Seconds(1);
    absl::Duration backoff_max = absl::Seconds(60);
    absl::Duration retry_after_max = absl::Hours(1);  // what a Retry-After can ask for
  };

  JobRunner(JobQueue& queue, IdSource& ids, Clock& clock,
            std::vector<std::unique_ptr<JobKind>> kinds, Options options);
  ~JobRunner();  // Stop()

  // Checks kind and params, stores the job and wakes a thread. JOB_KIND_UNKNOWN names the known
  // ones; REQUEST_TOO_LARGE beyond kParamsBytesMax. With `once` see JobQueue::EnqueueOnce.
  absl::StatusOr<Job> Submit(const std::string& kind, const Json& params,
                             const std::string& tenant = "default",
                             const absl::optional<SubmitKey>& once = absl::nullopt);
  // Only an administrator may start it (JobKind::needs_admin). False of a kind that isn't known.
  bool NeedsAdmin(const std::string& kind) const;

  // Takes back the jobs of this machine's processes that are gone, then runs. Once.
  void Start();
  // Takes no new job; running ones see CheckAlive fail and are released for the next process.
  // Blocks until they are; their kinds ask CheckAlive between steps.
  void Stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace aibackend::jobs
