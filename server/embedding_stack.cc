#include "server/embedding_stack.h"

#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "server/models/embedding_retry.h"
#include "server/models/observed_embedding.h"
#include "server/models/openai_embedding_model.h"

namespace aibackend {
namespace {

// The longest wait between two attempts that no Retry-After asks for.
constexpr absl::Duration kRetryCap = absl::Seconds(5);

}  // namespace

net::HttpTimeouts TimeoutsOf(const config::UpstreamTimeouts& timeouts) {
  return {absl::Milliseconds(timeouts.connect_ms), absl::Milliseconds(timeouts.first_token_ms),
          absl::Milliseconds(timeouts.idle_ms), absl::Milliseconds(timeouts.total_ms)};
}

models::RetryOptions RetryOptionsOf(const config::ModelSettings& model) {
  models::RetryOptions options;
  options.retries = model.retries;
  options.base = absl::Milliseconds(model.retry_base_ms);
  options.cap = kRetryCap;
  options.wait_max = absl::Milliseconds(model.retry_wait_max_ms);
  options.random = [] {  // from any thread
    thread_local absl::BitGen bits;
    return absl::Uniform(bits, 0.0, 1.0);
  };
  return options;
}

EmbeddingStack::EmbeddingStack(const std::vector<config::ModelSettings>& settings,
                               net::HttpClient& http, Timer& timer,
                               const models::CallWatch& watch) {
  for (const config::ModelSettings& model : settings) {
    if (model.kind != config::ModelSettings::Kind::kEmbedding) continue;
    const config::UpstreamSettings& upstream = model.upstreams.front();  // there is one
    models::OpenAiEmbeddingModel::Options options;
    options.id = model.name;
    options.upstream_model = upstream.model;
    options.base_url = upstream.base_url;
    options.api_key = upstream.api_key;
    options.timeouts = TimeoutsOf(upstream.timeouts);
    Model built;
    built.adapter = std::make_unique<models::OpenAiEmbeddingModel>(http, std::move(options));
    built.observed =
        std::make_unique<models::ObservedEmbeddingModel>(*built.adapter, upstream.model, watch);
    built.whole =
        std::make_unique<models::EmbeddingRetry>(*built.observed, timer, RetryOptionsOf(model));
    built.aliases = model.aliases;
    // Two servers may call different models by one name.
    built.embedder = std::make_unique<UpstreamEmbedder>(
        *built.whole, absl::StrCat(upstream.model.empty() ? model.name : upstream.model, " at ",
                                   upstream.base_url));
    models_.push_back(std::move(built));
  }
}

void EmbeddingStack::AddTo(models::ModelCatalog& catalog) const {
  // The settings have checked that names are taken once.
  for (const Model& model : models_) catalog.Add(*model.whole, model.aliases).IgnoreError();
}

std::vector<retrieval::TextEmbedder*> EmbeddingStack::embedders() const {
  std::vector<retrieval::TextEmbedder*> embedders;
  for (const Model& model : models_) embedders.push_back(model.embedder.get());
  return embedders;
}

}  // namespace aibackend
