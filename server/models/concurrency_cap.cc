#include "server/models/concurrency_cap.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "server/base/status.h"
#include "server/models/attempts.h"

namespace aibackend::models {
namespace {

constexpr absl::Duration kRetryAfter = absl::Seconds(1);  // an answer takes some seconds

absl::Status Overloaded(absl::string_view what) {
  return WithRetryAfter(MakeError(Reason::OVERLOADED, what), kRetryAfter);
}

absl::Status Cancelled() {
  return MakeError(Reason::CANCELLED, "cancelled while it waited for its turn");
}

}  // namespace

// One that waits, and what it becomes: a generation in the inner model, or an end without one.
class ConcurrencyCap::Waiting final : public Generation,
                                      public std::enable_shared_from_this<Waiting> {
 public:
  Waiting(ConcurrencyCap& cap, const GenerateRequest& request, std::shared_ptr<GenerateSink> sink)
      : cap_(cap), request_(request), sink_(std::move(sink)) {}

  void EnterQueue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(cap_.mutex_) {
    place_ = cap_.queue_.insert(cap_.queue_.end(), shared_from_this());
    timeout_ = cap_.timer_.After(cap_.options_.wait_max,
                                 [self = shared_from_this()] { self->OnTimeout(); });
  }

  // False: it isn't there any more.
  bool LeaveQueue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(cap_.mutex_) {
    if (!place_) return false;
    cap_.queue_.erase(*std::exchange(place_, absl::nullopt));
    cap_.timer_.Cancel(timeout_);
    return true;
  }

  // Called once, after it left the queue, with a place among those that run. False: it was
  // cancelled since, so that no model server is to be asked; its place goes on, and then
  // EndCancelled().
  bool Start() {
    {
      absl::MutexLock lock(&mutex_);
      if (is_cancelled_) return false;
    }
    std::shared_ptr<Generation> started = cap_.Start(request_, std::exchange(sink_, nullptr));
    {
      absl::MutexLock lock(&mutex_);
      running_ = started;
      if (!is_cancelled_) return true;
    }
    started->Cancel();
    return true;
  }

  void EndCancelled() {
    GenerateResult result;
    result.status = Cancelled();
    std::exchange(sink_, nullptr)->OnDone(std::move(result));
  }

  void Cancel() override {
    bool has_waited = false;
    {
      absl::MutexLock lock(&cap_.mutex_);
      has_waited = LeaveQueue();
    }
    if (has_waited) {
      EndedGeneration(Cancelled(), std::exchange(sink_, nullptr), cap_.timer_);
      return;
    }
    std::shared_ptr<Generation> running;
    {
      absl::MutexLock lock(&mutex_);
      is_cancelled_ = true;
      running = running_;
    }
    if (running) running->Cancel();
  }

 private:
  void OnTimeout() {
    {
      absl::MutexLock lock(&cap_.mutex_);
      if (!LeaveQueue()) return;
    }
    GenerateResult result;
    result.status = Overloaded(absl::StrCat("the request has waited ",
                                            absl::FormatDuration(cap_.options_.wait_max),
                                            " for its turn at the model server"));
    std::exchange(sink_, nullptr)->OnDone(std::move(result));
  }

  ConcurrencyCap& cap_;
  const GenerateRequest request_;
  std::shared_ptr<GenerateSink> sink_;  // of who takes it out of the queue

  absl::optional<Queue::iterator> place_ ABSL_GUARDED_BY(cap_.mutex_);
  Timer::Handle timeout_ ABSL_GUARDED_BY(cap_.mutex_) = 0;

  absl::Mutex mutex_;
  bool is_cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<Generation> running_ ABSL_GUARDED_BY(mutex_);
};

class ConcurrencyCap::RunningSink final : public GenerateSink {
 public:
  RunningSink(ConcurrencyCap& cap, std::shared_ptr<GenerateSink> sink)
      : cap_(cap), sink_(std::move(sink)) {}

  void OnDelta(const Delta& delta) override { sink_->OnDelta(delta); }

  // The place first: who hears the end may ask again at once. Then who hears it, who shall not wait
  // while the next one starts. Where none is next, the cap may be gone after that.
  void OnDone(GenerateResult result) override {
    std::shared_ptr<Waiting> next = cap_.PassPlaceOn();
    std::exchange(sink_, nullptr)->OnDone(std::move(result));
    while (next && !next->Start()) {
      const std::shared_ptr<Waiting> cancelled = std::exchange(next, cap_.PassPlaceOn());
      cancelled->EndCancelled();
    }
  }

 private:
  ConcurrencyCap& cap_;
  std::shared_ptr<GenerateSink> sink_;
};

ConcurrencyCap::ConcurrencyCap(LanguageModel& inner, Timer& timer, Options options)
    : inner_(inner), timer_(timer), options_(options) {}

std::shared_ptr<Generation> ConcurrencyCap::Generate(const GenerateRequest& request,
                                                     std::shared_ptr<GenerateSink> sink) {
  {
    absl::MutexLock lock(&mutex_);
    if (running_ < options_.running_max) {
      ++running_;
    } else if (queue_.size() < options_.queued_max) {
      auto waiting = std::make_shared<Waiting>(*this, request, std::move(sink));
      waiting->EnterQueue();
      return waiting;
    } else {
      return EndedGeneration(Overloaded("too many requests wait for the model server"),
                             std::move(sink), timer_);
    }
  }
  return Start(request, std::move(sink));
}

std::shared_ptr<Generation> ConcurrencyCap::Start(const GenerateRequest& request,
                                                  std::shared_ptr<GenerateSink> sink) {
  return inner_.Generate(request, std::make_shared<RunningSink>(*this, std::move(sink)));
}

std::shared_ptr<ConcurrencyCap::Waiting> ConcurrencyCap::PassPlaceOn() {
  absl::MutexLock lock(&mutex_);
  if (queue_.empty()) {
    --running_;
    return nullptr;
  }
  std::shared_ptr<Waiting> next = queue_.front();
  next->LeaveQueue();
  return next;
}

}  // namespace aibackend::models
