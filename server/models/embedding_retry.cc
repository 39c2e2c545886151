#include "server/models/embedding_retry.h"

#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/base/status.h"

namespace aibackend::models {

class EmbeddingRetry::Call final : public Generation, public std::enable_shared_from_this<Call> {
 public:
  Call(const EmbeddingRetry& retry, EmbedRequest request, std::function<void(EmbedResult)> done)
      : retry_(retry),
        request_(std::move(request)),
        schedule_(retry.options_),
        done_(std::move(done)) {}

  void Cancel() override {
    std::shared_ptr<Generation> running;
    {
      absl::MutexLock lock(&mutex_);
      if (is_done_ || std::exchange(is_cancelled_, true)) return;
      running = running_;
      // The wait ends now. Where it can't be cancelled it has just ended, and sees this by itself.
      if (wait_ && retry_.timer_.Cancel(*wait_)) {
        retry_.timer_.After(absl::ZeroDuration(),
                            [self = shared_from_this()] { self->End(std::move(self->last_)); });
      }
    }
    if (running) running->Cancel();
  }

  void Run() {
    int number = 0;
    bool is_cancelled = false;
    {
      absl::MutexLock lock(&mutex_);
      wait_.reset();
      number = number_;
      is_cancelled = is_cancelled_;
    }
    if (is_cancelled) return End(std::move(last_));
    std::shared_ptr<Generation> started = retry_.inner_.Embed(
        request_,
        [self = shared_from_this()](EmbedResult result) { self->OnDone(std::move(result)); });
    {
      // This attempt may have ended on another thread meanwhile, and the next one begun.
      absl::MutexLock lock(&mutex_);
      if (number_ != number) return;
      running_ = started;
      if (!is_cancelled_) return;
    }
    started->Cancel();
  }

 private:
  void OnDone(EmbedResult result) {
    upstream_calls_ += result.upstream_calls;
    bool is_cancelled = false;
    {
      absl::MutexLock lock(&mutex_);
      running_ = nullptr;
      ++number_;
      is_cancelled = is_cancelled_;
    }
    if (result.status.ok() || is_cancelled) return End(std::move(result));
    const absl::optional<absl::Duration> wait = schedule_.Next(result.status);
    if (!wait) return End(std::move(result));
    last_ = std::move(result);
    {
      absl::MutexLock lock(&mutex_);
      if (!is_cancelled_) {
        // Always on the timer's thread, also after no time: attempts never nest.
        wait_ = retry_.timer_.After(*wait, [self = shared_from_this()] { self->Run(); });
        return;
      }
    }
    End(std::move(last_));
  }

  void End(EmbedResult result) {
    {
      absl::MutexLock lock(&mutex_);
      is_done_ = true;
      if (is_cancelled_ && !result.status.ok()) {
        result.status = MakeError(Reason::CANCELLED, "the request was cancelled");
      }
    }
    result.upstream_calls = upstream_calls_;
    std::exchange(done_, nullptr)(std::move(result));
  }

  const EmbeddingRetry& retry_;
  const EmbedRequest request_;

  // Of whoever carries the call on: the running attempt's end, or the wait's.
  RetrySchedule schedule_;
  std::function<void(EmbedResult)> done_;
  int upstream_calls_ = 0;
  EmbedResult last_;

  absl::Mutex mutex_;
  bool is_cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_done_ ABSL_GUARDED_BY(mutex_) = false;
  int number_ ABSL_GUARDED_BY(mutex_) = 0;  // of attempts that have ended
  std::shared_ptr<Generation> running_ ABSL_GUARDED_BY(mutex_);
  absl::optional<Timer::Handle> wait_ ABSL_GUARDED_BY(mutex_);
};

EmbeddingRetry::EmbeddingRetry(EmbeddingModel& inner, Timer& timer, RetryOptions options)
    : inner_(inner), timer_(timer), options_(std::move(options)) {}

std::shared_ptr<Generation> EmbeddingRetry::Embed(EmbedRequest request,
                                                  std::function<void(EmbedResult)> done) {
  auto call = std::make_shared<Call>(*this, std::move(request), std::move(done));
  call->Run();
  return call;
}

}  // namespace aibackend::models
