// Several upstreams that serve one model.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "server/base/timer.h"
#include "server/models/language_model.h"

namespace aibackend::models {

// Each generation goes to one upstream, chosen at random by weight; where that fails before a
// delta, in a way that another may not share (AnotherMayServe()), at once to another of those not
// tried yet, by weight again.
//
// When all have failed, the result is that of the failure that says most:
//   1. a timeout: whoever asked has waited long, and it isn't retried;
//   2. one that a retry may help over one that needs an operator;
//   3. an upstream's own over a refusal of this server (an open circuit, a full queue);
//   4. one with Retry-After, and of these the soonest;
//   5. the last.
class Balance final : public LanguageModel {
 public:
  struct Upstream {
    LanguageModel* model = nullptr;
    double weight = 1;  // not above 0: used when all others have failed
  };

  // `info` is the name they serve under. `upstreams` is not empty; `random` gives numbers in [0, 1)
  // and is thread-safe. References outlive the model, which outlives its generations.
  Balance(ModelInfo info, std::vector<Upstream> upstreams, Timer& timer,
          std::function<double()> random);

  ModelInfo info() const override { return info_; }
  std::shared_ptr<Generation> Generate(const GenerateRequest& request,
                                       std::shared_ptr<GenerateSink> sink) override;

 private:
  class Policy;

  const ModelInfo info_;
  const std::vector<Upstream> upstreams_;
  Timer& timer_;
  const std::function<double()> random_;
};

}  // namespace aibackend::models
