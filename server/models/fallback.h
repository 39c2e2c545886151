// Other models for when the one that was asked fails.
#pragma once

#include <memory>
#include <vector>

#include "server/base/timer.h"
#include "server/models/language_model.h"

namespace aibackend::models {

// Asks the models in order until one answers: the next one at once, where the last failed before a
// delta in a way that another may not share (AnotherMayServe()). The result names the model it is
// of.
//
// - A fallback that can't take the request is passed over: one that isn't general when the request
//   has tools, tool calls, images or other parts, or a response format, or when no documents were
//   searched, as it would only say that it found nothing.
// - A temperature above a fallback's temperature_max becomes that; a model that answers a little
//   tamer is better than none.
// - When all fail, the result is the first model's, which is the one that the client asked for,
// with
//   the upstream_calls of all.
class Fallback final : public LanguageModel {
 public:
  // `models`: the one that clients ask for, then its fallbacks; not empty. References outlive the
  // model, which outlives its generations.
  Fallback(std::vector<LanguageModel*> models, Timer& timer);

  // The first one's, with the smallest context of all and the others' ids as its fallbacks.
  ModelInfo info() const override;
  std::shared_ptr<Generation> Generate(const GenerateRequest& request,
                                       std::shared_ptr<GenerateSink> sink) override;

 private:
  class Policy;

  const std::vector<LanguageModel*> models_;
  Timer& timer_;
};

}  // namespace aibackend::models
