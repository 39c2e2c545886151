// Leaves an upstream alone that keeps failing.
#pragma once

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/timer.h"
#include "server/models/language_model.h"

namespace aibackend::models {

// The state machine alone; thread-safe.
//
// Closed: calls pass. After `failures` in a row it opens: calls are refused until open_for has
// passed. Then it is half-open: one call at a time passes, as a probe, and others are refused. A
// probe that fails opens it again. One that succeeds closes it; so does a probe's first delta, as
// an answer may take a minute, and what breaks off after that is one more failure in the row.
// Each opening lasts twice as long as the last, up to open_max, until a success.
//
// UPSTREAM_UNAVAILABLE, _TIMEOUT, _BAD_RESPONSE and _TRUNCATED are failures, OK is a success. All
// other ends say nothing of the upstream's health; a probe that ends so makes room for the next.
// What a call says that began before the last change of state is not counted.
class Circuit {
 public:
  struct Options {
    int failures = 0;         // at least 1
    absl::Duration open_for;  // above zero
    absl::Duration open_max;  // at least open_for
    std::string upstream;     // named in errors and in the log: no secrets
  };

  // A call that may pass, or why it may not.
  struct Ticket {
    absl::Status status;  // UPSTREAM_UNAVAILABLE with Retry-After
    int epoch = 0;
    bool is_probe = false;
  };

  // `clock` outlives it.
  Circuit(Clock& clock, Options options);

  Ticket Admit();
  void OnFirstDelta(Ticket& ticket);
  void OnEnd(const Ticket& ticket, const absl::Status& status);

 private:
  enum class State { kClosed, kOpen, kProbing };

  void Succeed(const Ticket& ticket);
  void Fail(const Ticket& ticket);

  Clock& clock_;
  const Options options_;

  absl::Mutex mutex_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kClosed;
  int epoch_ ABSL_GUARDED_BY(mutex_) = 0;  // changes with each opening and closing
  int failures_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Duration open_for_ ABSL_GUARDED_BY(mutex_);  // of the next opening
  absl::Time open_until_ ABSL_GUARDED_BY(mutex_);
};

// A model behind a circuit of its own. A refused call is none of an upstream's (upstream_calls 0).
class CircuitBreaker final : public LanguageModel {
 public:
  // `options.upstream`, where empty, is the inner model's description. References outlive the
  // model, which outlives its generations.
  CircuitBreaker(LanguageModel& inner, Timer& timer, Clock& clock, Circuit::Options options);

  ModelInfo info() const override { return inner_.info(); }
  std::shared_ptr<Generation> Generate(const GenerateRequest& request,
                                       std::shared_ptr<GenerateSink> sink) override;

 private:
  LanguageModel& inner_;
  Timer& timer_;
  Circuit circuit_;
};

}  // namespace aibackend::models
