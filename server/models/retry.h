// Asks a model again after failures that may pass.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "server/base/timer.h"
#include "server/models/language_model.h"

namespace aibackend::models {

struct RetryOptions {
  int retries = 0;  // after the first attempt
  absl::Duration base;
  absl::Duration cap;
  absl::Duration wait_max;
  std::function<double()> random;  // in [0, 1); thread-safe
};

// When one request is tried again. Called by one thread at a time.
//
// Retried: UPSTREAM_UNAVAILABLE, UPSTREAM_RATE_LIMITED, UPSTREAM_BAD_RESPONSE and
// UPSTREAM_TRUNCATED. Not UPSTREAM_TIMEOUT, as whoever asked has waited long enough (a fallback may
// take it), and not OVERLOADED, which is meant to lessen the load.
//
// The wait before retry n (from 0) is random(0, min(cap, base * 2^n)): "full jitter", from the AWS
// Architecture Blog, "Exponential Backoff And Jitter". Where the failure names a Retry-After the
// wait is that much longer, so that not all who were told the same come back at the same time; one
// above wait_max ends the retrying at once, and the error keeps it.
class RetrySchedule {
 public:
  // Options outlive it.
  explicit RetrySchedule(const RetryOptions& options) : options_(options) {}

  // How long to wait before the next attempt; absent: there is none.
  absl::optional<absl::Duration> Next(const absl::Status& failed);

 private:
  const RetryOptions& options_;
  int retries_ = 0;
  absl::Duration backoff_ = options_.base;  // not above twice the cap
};

// Retries before a delta. The result is the last attempt's, see StartAttempts().
class Retry final : public LanguageModel {
 public:
  using Options = RetryOptions;

  // References outlive the model, which outlives its generations.
  Retry(LanguageModel& inner, Timer& timer, Options options);

  ModelInfo info() const override { return inner_.info(); }
  std::shared_ptr<Generation> Generate(const GenerateRequest& request,
                                       std::shared_ptr<GenerateSink> sink) override;

 private:
  class Policy;

  LanguageModel& inner_;
  Timer& timer_;
  const Options options_;
};

}  // namespace aibackend::models
