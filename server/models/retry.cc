#include "server/models/retry.h"

#include <algorithm>
#include <utility>

#include "server/base/status.h"
#include "server/models/attempts.h"

namespace aibackend::models {
namespace {

bool MayPass(const absl::Status& status) {
  switch (ReasonOf(status)) {
    case Reason::UPSTREAM_UNAVAILABLE:
    case Reason::UPSTREAM_RATE_LIMITED:
    case Reason::UPSTREAM_BAD_RESPONSE:
    case Reason::UPSTREAM_TRUNCATED:
      return true;
    default:
      return false;
  }
}

}  // namespace

class Retry::Policy final : public AttemptPolicy {
 public:
  explicit Policy(const Retry& retry) : retry_(retry) {}

  Attempt First() override { return After(absl::ZeroDuration()); }

  absl::optional<Attempt> Next(const GenerateRequest&, GenerateResult& failed) override {
    const Options& options = retry_.options_;
    if (retries_ >= options.retries || !MayPass(failed.status)) return absl::nullopt;
    const absl::Duration asked = RetryAfterOf(failed.status).value_or(absl::ZeroDuration());
    if (asked > options.wait_max) return absl::nullopt;
    ++retries_;
    const absl::Duration ceiling = std::min(options.cap, backoff_);
    if (backoff_ < options.cap) backoff_ *= 2;
    return After(asked + options.random() * ceiling);
  }

 private:
  Attempt After(absl::Duration delay) const {
    Attempt attempt;
    attempt.model = &retry_.inner_;
    attempt.delay = delay;
    return attempt;
  }

  const Retry& retry_;
  int retries_ = 0;
  absl::Duration backoff_ = retry_.options_.base;  // not above twice the cap
};

Retry::Retry(LanguageModel& inner, Timer& timer, Options options)
    : inner_(inner), timer_(timer), options_(std::move(options)) {}

std::shared_ptr<Generation> Retry::Generate(const GenerateRequest& request,
                                            std::shared_ptr<GenerateSink> sink) {
  return StartAttempts(request, std::move(sink), std::make_unique<Policy>(*this), timer_);
}

}  // namespace aibackend::models
