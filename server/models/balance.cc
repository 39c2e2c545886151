#include "server/models/balance.h"

#include <tuple>
#include <utility>

#include "absl/types/optional.h"
#include "server/base/status.h"
#include "server/models/attempts.h"

namespace aibackend::models {
namespace {

// The greater says more.
auto Rank(const GenerateResult& failed) {
  const auto reason = ReasonOf(failed.status);
  const auto after = RetryAfterOf(failed.status);
  return std::make_tuple(reason == Reason::UPSTREAM_TIMEOUT, MappingOf(reason).retryable(),
                         failed.upstream_calls > 0, after.has_value(),
                         -after.value_or(absl::ZeroDuration()));
}

}  // namespace

class Balance::Policy final : public AttemptPolicy {
 public:
  explicit Policy(const Balance& balance) : random_(balance.random_), left_(balance.upstreams_) {}

  Attempt First() override {
    std::vector<double> weights;
    weights.reserve(left_.size());
    for (const Upstream& upstream : left_) weights.push_back(upstream.weight);
    const auto chosen = left_.begin() + static_cast<ptrdiff_t>(ChooseByWeight(weights, random_()));
    Attempt attempt;
    attempt.model = chosen->model;
    left_.erase(chosen);
    return attempt;
  }

  absl::optional<Attempt> Next(const GenerateRequest&, GenerateResult& failed) override {
    if (!AnotherMayServe(failed.status)) return absl::nullopt;
    if (!best_ || Rank(failed) >= Rank(*best_)) best_ = failed;
    if (!left_.empty()) return First();
    failed = *std::move(best_);
    return absl::nullopt;
  }

 private:
  const std::function<double()>& random_;
  std::vector<Upstream> left_;  // not tried yet
  absl::optional<GenerateResult> best_;
};

Balance::Balance(ModelInfo info, std::vector<Upstream> upstreams, Timer& timer,
                 std::function<double()> random)
    : info_(std::move(info)),
      upstreams_(std::move(upstreams)),
      timer_(timer),
      random_(std::move(random)) {}

std::shared_ptr<Generation> Balance::Generate(const GenerateRequest& request,
                                              std::shared_ptr<GenerateSink> sink) {
  return StartAttempts(request, std::move(sink), std::make_unique<Policy>(*this), timer_);
}

}  // namespace aibackend::models
