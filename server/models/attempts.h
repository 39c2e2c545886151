// What Retry, Balance and Fallback share: one generation made of attempts, one after another.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "server/base/timer.h"
#include "server/models/language_model.h"

namespace aibackend::models {

struct Attempt {
  LanguageModel* model = nullptr;
  absl::Duration delay = absl::ZeroDuration();     // before it starts; not of the first attempt
  std::shared_ptr<const GenerateRequest> request;  // null: the request as it came
  std::string model_id;  // the result's, where the model leaves it empty; may be empty
};

// Decides what is tried, for one generation. Called by one thread at a time.
class AttemptPolicy {
 public:
  virtual ~AttemptPolicy() = default;
  virtual Attempt First() = 0;
  // `failed` is how the last attempt ended, without a delta; its upstream_calls are of it alone.
  // Absent: there is no other, and `failed` is the generation's result, which may be exchanged for
  // an earlier one's.
  virtual absl::optional<Attempt> Next(const GenerateRequest& request, GenerateResult& failed) = 0;
};

// Runs attempts until one succeeds, the policy ends them, or the generation is cancelled.
//
// - Deltas are forwarded as they come; once one was, the attempt's end is the generation's: no
//   answer is ever put together from two attempts.
// - upstream_calls is the sum over all attempts. All else in the result is one attempt's, mostly
//   the last one's: tokens of failed attempts before it are not counted.
// - Cancel reaches the attempt that runs, or ends the wait for one; then no other starts, and any
//   end but a success is CANCELLED.
//
// The next attempt starts on the thread that told the end of the last, or on the timer's after a
// delay. As no model calls its sink from inside Generate(), attempts never nest, however many.
// The request is copied once. The policy's models and `timer` outlive the generation.
std::shared_ptr<Generation> StartAttempts(const GenerateRequest& request,
                                          std::shared_ptr<GenerateSink> sink,
                                          std::unique_ptr<AttemptPolicy> policy, Timer& timer);

// Whether another upstream or model may do better: the request itself isn't at fault, and nobody
// cancelled it.
bool AnotherMayServe(const absl::Status& status);

// A number from `random` in [0, 1) and weights: an index, each as likely as its weight. Weights
// that are not above 0 are chosen only when no other is there. `weights` is not empty.
size_t ChooseByWeight(const std::vector<double>& weights, double random);

// A generation that has ended, with `status` and no upstream called, before it began. The sink
// hears so on the timer's thread, as the port forbids it from inside Generate(): a hand-off between
// threads, some microseconds.
std::shared_ptr<Generation> EndedGeneration(absl::Status status, std::shared_ptr<GenerateSink> sink,
                                            Timer& timer);

}  // namespace aibackend::models
