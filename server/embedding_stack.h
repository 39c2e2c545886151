// The embedding models of the settings. A part of the composition root, built before the documents,
// which they may embed.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/base/timer.h"
#include "server/config/models.h"
#include "server/models/embedding_model.h"
#include "server/models/model_catalog.h"
#include "server/models/retry.h"
#include "server/models/watched_call.h"
#include "server/net/http_client.h"
#include "server/upstream_embedder.h"

namespace aibackend {

// The router's settings of a model as its retries.
models::RetryOptions RetryOptionsOf(const config::ModelSettings& model);
net::HttpTimeouts TimeoutsOf(const config::UpstreamTimeouts& timeouts);

// An embedding model is Retry(Observed(adapter)). Owns them, and what retrieval/ knows them by. The
// models are thread-safe; building is not.
class EmbeddingStack {
 public:
  // References outlive the stack. Of the settings only embedding models are read.
  EmbeddingStack(const std::vector<config::ModelSettings>& settings, net::HttpClient& http,
                 Timer& timer, const models::CallWatch& watch);

  // Gives the models to a catalog, which they outlive.
  void AddTo(models::ModelCatalog& catalog) const;

  // In the order of the settings.
  std::vector<retrieval::TextEmbedder*> embedders() const;

 private:
  struct Model {
    std::unique_ptr<models::EmbeddingModel> adapter;
    std::unique_ptr<models::EmbeddingModel> observed;
    std::unique_ptr<models::EmbeddingModel> whole;
    std::vector<std::string> aliases;
    std::unique_ptr<UpstreamEmbedder> embedder;
  };

  std::vector<Model> models_;
};

}  // namespace aibackend
