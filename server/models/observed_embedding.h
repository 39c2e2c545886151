// An embedding model whose calls are counted, timed and traced: what stands around each adapter, so
// that every attempt is seen, also those that a retry makes good.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "server/models/embedding_model.h"
#include "server/models/watched_call.h"

namespace aibackend::models {

// Each call is a span of its own, the child of the request's trace, and the model server gets it.
class ObservedEmbeddingModel final : public EmbeddingModel {
 public:
  // `inner` outlives the model. `upstream_model` is what it asks its server for; empty: its id. All
  // of `watch` is there.
  ObservedEmbeddingModel(EmbeddingModel& inner, std::string upstream_model, CallWatch watch);

  ModelInfo info() const override { return inner_.info(); }
  std::shared_ptr<Generation> Embed(EmbedRequest request,
                                    std::function<void(EmbedResult)> done) override;

 private:
  EmbeddingModel& inner_;
  const CallWatch watch_;
  const std::string upstream_model_;
  const std::string provider_;
  const telemetry::Metrics::ModelRow& row_;
};

}  // namespace aibackend::models
