// A context that remembers what a job reported, and stops it when a test says so.
#pragma once

#include <string>
#include <vector>

#include "server/base/status.h"
#include "server/jobs/job.h"

namespace aibackend::jobs {

class FakeJobContext final : public JobContext {
 public:
  const JobId& job_id() const override { return id_; }
  int attempt() const override { return 1; }
  void ReportProgress(int64_t done, int64_t total, absl::string_view message) override {
    progress.push_back({done, total, std::string(message)});
  }
  void NoteAdvance() override { ++advances; }
  absl::Status CheckAlive() override {
    return alive_questions++ < stop_after ? absl::OkStatus()
                                          : MakeError(Reason::DRAINING, "stopping");
  }

  std::vector<JobProgress> progress;
  int advances = 0;
  int alive_questions = 0;
  int stop_after = 1'000'000;  // questions answered with OK

 private:
  const JobId id_{"job_1"};
};

}  // namespace aibackend::jobs
