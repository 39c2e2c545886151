#include "client/cli/job_watch.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/notification.h"

namespace aibackend::cli {
namespace {

constexpr absl::Duration kPollInterval = absl::Milliseconds(200);
constexpr int kUnreachablePollsMax = 150;  // about 30 s
constexpr int kBarColumns = 24;

bool Ended(const v1::Job& job) {
  return job.status() == v1::Job::SUCCEEDED || job.status() == v1::Job::FAILED ||
         job.status() == v1::Job::CANCELLED;
}

std::string Bar(const v1::Job& job) {
  const auto& progress = job.progress();
  if (progress.total() <= 0) return JobState(job);
  const double share =
      std::clamp(static_cast<double>(progress.done()) / progress.total(), 0.0, 1.0);
  const int filled = static_cast<int>(share * kBarColumns);
  return absl::StrFormat("[%s%s] %3.0f %%  %s", std::string(filled, '#'),
                         std::string(kBarColumns - filled, '-'), share * 100, JobState(job));
}

class Watcher {
 public:
  Watcher(Session& session, const std::string& job_id, bool json) : session_(session), json_(json) {
    request_.set_job_id(job_id);
  }

  void Run(Interrupts& interrupts) {
    const Interrupts::Watch watch(interrupts, [this] {
      cancellation_.Cancel();
      if (!interrupted_.HasBeenNotified()) interrupted_.Notify();
    });
    while (Poll() && !interrupted_.WaitForNotificationWithTimeout(kPollInterval)) {
    }
    if (interrupted_.HasBeenNotified()) Leave();
  }

 private:
  // False: it is over.
  bool Poll() {
    const auto options = session_.Options(&cancellation_);
    const auto job = session_.client().GetJob(request_, options);
    if (interrupted_.HasBeenNotified()) return false;
    if (!job.ok()) {
      if (job.error().code == "UNAVAILABLE" && ++unreachable_polls_ < kUnreachablePollsMax) {
        return true;
      }
      EndLine();
      session_.Fail(job.error());
      return false;
    }
    unreachable_polls_ = 0;
    if (!json_) Show(*job);
    if (!Ended(*job)) return true;
    Finish(*job);
    return false;
  }

  void Show(const v1::Job& job) {
    std::string state = session_.out.terminal() ? Bar(job) : JobState(job);
    if (state == shown_) return;
    shown_ = std::move(state);
    if (session_.out.terminal()) {
      session_.out.Progress(shown_);
    } else {
      session_.out.Line(shown_);
    }
  }

  void EndLine() {
    if (session_.out.terminal() && !shown_.empty()) session_.out.Line("");
  }

  void Finish(const v1::Job& job) {
    EndLine();
    if (json_) session_.out.Write(ToJson(job));
    if (!json_ && job.status() == v1::Job::SUCCEEDED) session_.out.Write(ToJson(job.result()));
    if (job.status() == v1::Job::FAILED) {
      const auto& error = job.error();
      session_.out.Error(client::ClientError{error.code(), error.reason(), error.field(),
                                             error.message(), error.request_id(), std::nullopt});
    }
    session_.exit_code = job.status() == v1::Job::SUCCEEDED ? kExitOk : kExitServiceError;
  }

  void Leave() {
    EndLine();
    session_.out.Note("The job goes on: aibackend jobs watch " + request_.job_id());
    session_.exit_code = kExitInterrupted;
  }

  Session& session_;
  const bool json_;
  v1::GetJobRequest request_;
  client::Cancellation cancellation_;
  absl::Notification interrupted_;
  int unreachable_polls_ = 0;
  std::string shown_;
};

}  // namespace

std::string JobState(const v1::Job& job) {
  std::string state = v1::Job::Status_Name(job.status());
  const auto& progress = job.progress();
  if (progress.total() > 0) absl::StrAppend(&state, "  ", progress.done(), "/", progress.total());
  if (!progress.message().empty()) absl::StrAppend(&state, "  ", progress.message());
  return state;
}

void WatchJob(Session& session, Interrupts& interrupts, const std::string& job_id, bool json) {
  Watcher(session, job_id, json).Run(interrupts);
}

}  // namespace aibackend::cli
