// Any upstream that speaks OpenAI's chat completions: OpenAI itself, vLLM, llama.cpp, Ollama, …
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/models/language_model.h"
#include "server/models/upstream_request.h"
#include "server/models/watched_call.h"
#include "server/net/http_client.h"

namespace aibackend::models {

// Sinks are called on the HTTP client's event thread and must not block. How an answer ends is
// UpstreamGeneration's to say; the end mark of a stream is "[DONE]".
class OpenAiModel : public LanguageModel {
 public:
  struct Options {
    std::string id;              // what ListModels shows and clients name
    std::string base_url;        // requests go to base_url + "/chat/completions": it ends where the
                                 // SDKs' base URLs do, mostly in "/v1"; a slash after it is dropped
    std::string api_key;         // empty: no Authorization header
    std::string upstream_model;  // what the upstream calls it; empty: `id`
    int context_tokens = 0;      // as ModelInfo's
    net::HttpTimeouts timeouts;
    UpstreamLimits limits;
    CallWatch watch;
  };

  // `http` must outlive the model and its generations.
  OpenAiModel(net::HttpClient& http, Options options);

  ModelInfo info() const override;
  std::shared_ptr<Generation> Generate(const GenerateRequest& request,
                                       std::shared_ptr<GenerateSink> sink) override;

 private:
  net::HttpRequest HttpRequestFor(const GenerateRequest& request,
                                  const std::vector<ChatMessage>& messages) const;

  net::HttpClient& http_;
  const Options options_;
  const std::shared_ptr<const Upstream> upstream_;
};

}  // namespace aibackend::models
