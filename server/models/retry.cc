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

absl::optional<absl::Duration> RetrySchedule::Next(const absl::Status& failed) {
  if (retries_ >= options_.retries || !MayPass(failed)) return absl::nullopt;
  const absl::Duration asked = RetryAfterOf(failed).value_or(absl::ZeroDuration());
  if (asked > options_.wait_max) return absl::nullopt;
  ++retries_;
  const absl::Duration ceiling = std::min(options_.cap, backoff_);
  if (backoff_ < options_.cap) backoff_ *= 2;
  return asked + options_.random() * ceiling;
}

class Retry::Policy final : public AttemptPolicy {
 public:
  explicit Policy(const Retry& retry) : retry_(retry), schedule_(retry.options_) {}

  Attempt First() override { return After(absl::ZeroDuration()); }

  absl::optional<Attempt> Next(const GenerateRequest&, GenerateResult& failed) override {
    const absl::optional<absl::Duration> wait = schedule_.Next(failed.status);
    if (!wait) return absl::nullopt;
    return After(*wait);
  }

 private:
  Attempt After(absl::Duration delay) const {
    Attempt attempt;
    attempt.model = &retry_.inner_;
    attempt.delay = delay;
    return attempt;
  }

  const Retry& retry_;
  RetrySchedule schedule_;
};

Retry::Retry(LanguageModel& inner, Timer& timer, Options options)
    : inner_(inner), timer_(timer), options_(std::move(options)) {}

std::shared_ptr<Generation> Retry::Generate(const GenerateRequest& request,
                                            std::shared_ptr<GenerateSink> sink) {
  return StartAttempts(request, std::move(sink), std::make_unique<Policy>(*this), timer_);
}

}  // namespace aibackend::models
