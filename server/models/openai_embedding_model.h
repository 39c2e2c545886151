// Any upstream that speaks OpenAI's embeddings: OpenAI itself, vLLM, llama.cpp, Ollama, TEI, …
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "server/models/embedding_model.h"
#include "server/models/upstream_errors.h"
#include "server/net/http_client.h"

namespace aibackend::models {

// Vectors are asked for as numbers, and understood as base64 too (extra may ask for that). An
// answer that isn't one finite vector for each input, all of one size and of the `dimensions` that
// were asked for, is UPSTREAM_BAD_RESPONSE. Errors are those of OpenAiModel.
//
// `done` is called on the HTTP client's event thread. Usage is the upstream's where it reported
// it, else estimated; a call that the upstream didn't accept used nothing.
class OpenAiEmbeddingModel : public EmbeddingModel {
 public:
  struct Options {
    std::string id;
    std::string base_url;        // requests go to base_url + "/embeddings", as OpenAiModel's
    std::string api_key;         // empty: no Authorization header
    std::string upstream_model;  // what the upstream calls it; empty: `id`
    net::HttpTimeouts timeouts;
  };

  // `http` must outlive the model and its calls.
  OpenAiEmbeddingModel(net::HttpClient& http, Options options);

  ModelInfo info() const override;
  std::shared_ptr<Generation> Embed(EmbedRequest request,
                                    std::function<void(EmbedResult)> done) override;

 private:
  net::HttpClient& http_;
  const Options options_;
  const std::shared_ptr<const Upstream> upstream_;
};

}  // namespace aibackend::models
