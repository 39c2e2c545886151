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
  enum class Shown { kNothing, kProgress, kChanges };  // a bar on a terminal; else line by line

  Watcher(Session& session, const std::string& job_id, Shown shown)
      : session_(session), show_(shown) {
    request_.set_job_id(job_id);
  }

  // The ended job; nothing where it isn't known to have ended. The exit code is set.
  std::optional<v1::Job> Run(Interrupts& interrupts) {
    const Interrupts::Watch watch(interrupts, [this] {
      cancellation_.Cancel();
      if (!interrupted_.HasBeenNotified()) interrupted_.Notify();
    });
    while (Poll() && !interrupted_.WaitForNotificationWithTimeout(kPollInterval)) {
    }
    if (!ended_ && interrupted_.HasBeenNotified()) Leave();
    return std::move(ended_);
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
    Show(*job);
    if (!Ended(*job)) return true;
    EndLine();
    session_.exit_code = job->status() == v1::Job::SUCCEEDED ? kExitOk : kExitServiceError;
    ended_ = *job;
    return false;
  }

  void Show(const v1::Job& job) {
    if (show_ == Shown::kNothing) return;
    if (show_ == Shown::kProgress && !session_.out.terminal()) return;
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

  void Leave() {
    EndLine();
    session_.exit_code = kExitInterrupted;
  }

  Session& session_;
  const Shown show_;
  v1::GetJobRequest request_;
  client::Cancellation cancellation_;
  absl::Notification interrupted_;
  int unreachable_polls_ = 0;
  std::string shown_;
  std::optional<v1::Job> ended_;
};

void PrintError(Session& session, const v1::Job& job) {
  const auto& error = job.error();
  session.out.Error(client::ClientError{error.code(), error.reason(), error.field(),
                                        error.message(), error.request_id(), std::nullopt});
}

}  // namespace

std::string JobState(const v1::Job& job) {
  std::string state = v1::Job::Status_Name(job.status());
  const auto& progress = job.progress();
  if (progress.total() > 0) absl::StrAppend(&state, "  ", progress.done(), "/", progress.total());
  if (!progress.message().empty()) absl::StrAppend(&state, "  ", progress.message());
  return state;
}

void WatchJob(Session& session, Interrupts& interrupts, const std::string& job_id, bool json) {
  const auto shown = json ? Watcher::Shown::kNothing : Watcher::Shown::kChanges;
  const auto job = Watcher(session, job_id, shown).Run(interrupts);
  if (job && json) session.out.Write(ToJson(*job));
  if (job && !json && job->status() == v1::Job::SUCCEEDED) session.out.Write(ToJson(job->result()));
  if (job && job->status() == v1::Job::FAILED) PrintError(session, *job);
  if (!job && session.exit_code == kExitInterrupted) {
    session.out.Note("The job goes on: aibackend jobs watch " + job_id);
  }
}

std::optional<v1::Job> AwaitJob(Session& session, Interrupts& interrupts, const std::string& job_id,
                                bool quiet) {
  const auto shown = quiet ? Watcher::Shown::kNothing : Watcher::Shown::kProgress;
  auto job = Watcher(session, job_id, shown).Run(interrupts);
  if (!job || job->status() == v1::Job::SUCCEEDED) return job;
  if (job->status() == v1::Job::FAILED) {
    PrintError(session, *job);
  } else {
    session.out.Error("the job " + job_id + " was cancelled");
  }
  return std::nullopt;
}

}  // namespace aibackend::cli
