// Bounds what is under way at an upstream.
#pragma once

#include <list>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/base/timer.h"
#include "server/models/language_model.h"

namespace aibackend::models {

// At most running_max generations are in the inner model. At most queued_max wait for one to end,
// first come first served, each at most wait_max. Any other is OVERLOADED with Retry-After.
//
// Cancelling one that waits frees its place at once. One that waits starts on the thread that told
// the end of another; as no model calls its sink from inside Generate(), a long queue never nests.
class ConcurrencyCap final : public LanguageModel {
 public:
  struct Options {
    size_t running_max = 1;  // at least 1; where there is to be no cap, leave this decorator out
    size_t queued_max = 0;   // each keeps a copy of its request
    absl::Duration wait_max;
  };

  // References outlive the model, which outlives its generations.
  ConcurrencyCap(LanguageModel& inner, Timer& timer, Options options);

  ModelInfo info() const override { return inner_.info(); }
  std::shared_ptr<Generation> Generate(const GenerateRequest& request,
                                       std::shared_ptr<GenerateSink> sink) override;

 private:
  class Waiting;
  class RunningSink;
  using Queue = std::list<std::shared_ptr<Waiting>>;

  std::shared_ptr<Generation> Start(const GenerateRequest& request,
                                    std::shared_ptr<GenerateSink> sink);
  // The place of one that ended goes to the first that waits, which is returned, or becomes free.
  std::shared_ptr<Waiting> PassPlaceOn();

  LanguageModel& inner_;
  Timer& timer_;
  const Options options_;

  absl::Mutex mutex_;
  size_t running_ ABSL_GUARDED_BY(mutex_) = 0;
  Queue queue_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace aibackend::models
