// Runs jobs of the queue on threads of its own.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/clock.h"
#include "server/base/ids.h"
#include "server/jobs/job.h"
#include "server/jobs/job_queue.h"

namespace aibackend::jobs {

// Thread-safe. Knows no job kind by name.
class JobRunner {
 public:
  struct Options {
    int threads = 1;
    absl::Duration lease = absl::Seconds(15);
    absl::Duration poll =
        absl::Seconds(2);  // for jobs that other processes queue; own ones wake it at once
    int attempts_max = 5;
    std::string worker_id;  // unique a process: a new process never waits for its predecessor's
                            // lease on one machine
  };

  JobRunner(JobQueue& queue, IdSource& ids, Clock& clock,
            std::vector<std::unique_ptr<JobKind>> kinds, Options options);
  ~JobRunner();  // Stop()

  // Checks kind and params, stores the job and wakes a thread. JOB_KIND_UNKNOWN names the known
  // ones.
  absl::StatusOr<Job> Submit(const std::string& kind, const Json& params);

  void Start();
  // Takes no new job; running ones see CheckAlive fail and are released for the next process.
  // Blocks until they are.
  void Stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace aibackend::jobs
