#include "server/models/attempts.h"

#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/base/status.h"

namespace aibackend::models {
namespace {

class Attempts final : public Generation,
                       public GenerateSink,
                       public std::enable_shared_from_this<Attempts> {
 public:
  Attempts(const GenerateRequest& request, std::shared_ptr<GenerateSink> sink,
           std::unique_ptr<AttemptPolicy> policy, Timer& timer)
      : request_(std::make_shared<const GenerateRequest>(request)),
        policy_(std::move(policy)),
        timer_(timer),
        sink_(std::move(sink)) {}

  void Begin() { Run(policy_->First()); }

  void Cancel() override {
    std::shared_ptr<Generation> running;
    {
      absl::MutexLock lock(&mutex_);
      if (is_done_ || std::exchange(is_cancelled_, true)) return;
      running = running_;
      // The wait ends now. Where it can't be cancelled it has just ended, and sees this by itself.
      if (wait_ && timer_.Cancel(*wait_)) {
        timer_.After(absl::ZeroDuration(), [self = shared_from_this()] { self->EndCancelled(); });
      }
    }
    if (running) running->Cancel();
  }

  void OnDelta(const Delta& delta) override {
    any_delta_ = true;
    sink_->OnDelta(delta);
  }

  void OnDone(GenerateResult result) override {
    upstream_calls_ += result.upstream_calls;
    if (result.model.empty()) result.model = model_id_;
    bool is_cancelled = false;
    {
      absl::MutexLock lock(&mutex_);
      running_ = nullptr;
      ++number_;
      is_cancelled = is_cancelled_;
    }
    if (result.status.ok() || any_delta_ || is_cancelled) return End(std::move(result));
    absl::optional<Attempt> next = policy_->Next(*request_, result);
    if (!next) return End(std::move(result));
    last_ = std::move(result);
    if (next->delay <= absl::ZeroDuration()) return Run(*std::move(next));
    Wait(*std::move(next));
  }

 private:
  void Wait(Attempt next) {
    const absl::Duration delay = next.delay;
    {
      absl::MutexLock lock(&mutex_);
      if (!is_cancelled_) {
        wait_ = timer_.After(
            delay, [self = shared_from_this(), next = std::move(next)]() { self->Run(next); });
        return;
      }
    }
    EndCancelled();
  }

  void Run(Attempt attempt) {
    int number = 0;
    bool is_cancelled = false;
    {
      absl::MutexLock lock(&mutex_);
      wait_.reset();
      number = number_;
      is_cancelled = is_cancelled_;
    }
    if (is_cancelled) return EndCancelled();
    model_id_ = std::move(attempt.model_id);
    if (!attempt.request) attempt.request = request_;
    std::shared_ptr<Generation> started =
        attempt.model->Generate(*attempt.request, shared_from_this());
    {
      // This attempt may have ended on another thread meanwhile, and the next one begun.
      absl::MutexLock lock(&mutex_);
      if (number_ != number) return;
      running_ = started;
      if (!is_cancelled_) return;
    }
    started->Cancel();
  }

  void EndCancelled() { End(std::move(last_)); }

  void End(GenerateResult result) {
    {
      absl::MutexLock lock(&mutex_);
      is_done_ = true;
      if (is_cancelled_ && !result.status.ok()) {
        result.status = MakeError(Reason::CANCELLED, "the generation was cancelled");
      }
    }
    result.upstream_calls = upstream_calls_;
    std::exchange(sink_, nullptr)->OnDone(std::move(result));
  }

  const std::shared_ptr<const GenerateRequest> request_;
  const std::unique_ptr<AttemptPolicy> policy_;
  Timer& timer_;

  // Of whoever carries the generation on: the running attempt's callbacks, or the wait's end.
  std::shared_ptr<GenerateSink> sink_;
  bool any_delta_ = false;
  int upstream_calls_ = 0;
  std::string model_id_;
  GenerateResult last_;

  absl::Mutex mutex_;
  bool is_cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_done_ ABSL_GUARDED_BY(mutex_) = false;
  int number_ ABSL_GUARDED_BY(mutex_) = 0;  // of attempts that have ended
  std::shared_ptr<Generation> running_ ABSL_GUARDED_BY(mutex_);
  absl::optional<Timer::Handle> wait_ ABSL_GUARDED_BY(mutex_);
};

// Its end is on the way: there is nothing to cancel.
class Ended final : public Generation {
 public:
  void Cancel() override {}
};

}  // namespace

std::shared_ptr<Generation> StartAttempts(const GenerateRequest& request,
                                          std::shared_ptr<GenerateSink> sink,
                                          std::unique_ptr<AttemptPolicy> policy, Timer& timer) {
  auto attempts = std::make_shared<Attempts>(request, std::move(sink), std::move(policy), timer);
  attempts->Begin();
  return attempts;
}

bool AnotherMayServe(const absl::Status& status) {
  const v1::ErrorMapping& row = MappingOf(ReasonOf(status));
  return row.retryable() || row.http_status() >= 500;
}

size_t ChooseByWeight(const std::vector<double>& weights, double random) {
  double sum = 0;
  for (const double weight : weights) sum += weight > 0 ? weight : 0;
  size_t chosen = 0;
  double below = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (!(weights[i] > 0)) continue;
    chosen = i;  // the last one also where rounding leaves a gap at the end
    below += weights[i];
    if (random * sum < below) break;
  }
  return chosen;
}

std::shared_ptr<Generation> EndedGeneration(absl::Status status, std::shared_ptr<GenerateSink> sink,
                                            Timer& timer) {
  timer.After(absl::ZeroDuration(), [status = std::move(status), sink = std::move(sink)]() {
    GenerateResult result;
    result.status = status;
    sink->OnDone(std::move(result));
  });
  return std::make_shared<Ended>();
}

}  // namespace aibackend::models
