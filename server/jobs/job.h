// What a job is, and what a job kind must do.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "nlohmann/json.hpp"
#include "server/base/ids.h"

namespace aibackend::jobs {

using Json = nlohmann::json;

enum class JobStatus { kQueued, kRunning, kSucceeded, kFailed, kCancelled };

// As it stands in the database and in the contract: "QUEUED" …
const char* JobStatusName(JobStatus status);

struct JobProgress {
  int64_t done = 0;
  int64_t total = 0;
  std::string message;
};

struct Job {
  JobId id;
  std::string tenant = "default";  // whose it is
  std::string kind;
  std::string params;  // JSON text
  JobStatus status = JobStatus::kQueued;
  JobProgress progress;
  std::string result;        // JSON text, set when succeeded
  std::string error_reason;  // set when failed, and between attempts to the last attempt's
  std::string error_message;
  int attempts = 0;
  std::string worker;  // while running: who holds the lease
  absl::Time created_at;
  absl::Time started_at = absl::InfinitePast();  // InfinitePast: not yet
  absl::Time finished_at = absl::InfinitePast();
};

// A caller's word that asking again with the same key is no new job.
struct SubmitKey {
  std::string key;          // of this caller
  std::string fingerprint;  // equal for equal jobs
};

// What a running job may do. Thread-safe.
class JobContext {
 public:
  virtual ~JobContext() = default;
  virtual const JobId& job_id() const = 0;
  virtual int attempt() const = 0;
  // Remembers progress; it is written to the database a few times a second. The lease is renewed
  // whether a job reports or not.
  virtual void ReportProgress(int64_t done, int64_t total, absl::string_view message) = 0;
  // What was done so far stays done, and a next attempt goes on behind it: should this one fail for
  // now, it doesn't count.
  virtual void NoteAdvance() = 0;
  // Not OK once the job should stop: cancelled, its lease lost, or the process draining. Ask
  // between steps, and return this status.
  virtual absl::Status CheckAlive() = 0;
};

// One kind of job. Thread-safe: several jobs of a kind may run at once.
//
// Run() may be called again for the same job after a crash, with the same params: its effect must
// be idempotent. It returns the result as JSON, or a status: codes UNAVAILABLE, ABORTED,
// DEADLINE_EXCEEDED and RESOURCE_EXHAUSTED are tried again with backoff, and not before their
// Retry-After; all others end the job.
class JobKind {
 public:
  virtual ~JobKind() = default;
  virtual std::string name() const = 0;
  // True: it works on what is nobody's own, so that only an administrator may start it.
  virtual bool needs_admin() const { return false; }
  // Refuses params that Run could never use, naming the field ("params.documents[0].text").
  virtual absl::Status Validate(const Json& params) const = 0;
  virtual absl::StatusOr<Json> Run(const Json& params, JobContext& context) = 0;
};

}  // namespace aibackend::jobs
