// Any upstream that speaks OpenAI's chat completions: OpenAI itself, vLLM, llama.cpp, Ollama, …
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/models/language_model.h"
#include "server/net/http_client.h"

namespace aibackend::models {

struct Upstream;

// Sinks are called on the HTTP client's event thread and must not block.
//
// How an answer ends:
// - A stream has ended well once a finish_reason came, even if it breaks off after that: nothing of
//   the answer can be missing. "[DONE]" without a finish_reason counts as "stop" if content came,
//   and is UPSTREAM_BAD_RESPONSE if none did. Anything else is UPSTREAM_TRUNCATED.
// - An upstream that answers whole although a stream was asked for, or the other way round, is
//   understood by its content type.
// - Usage is the upstream's where it reported one, else estimated. A call that the upstream didn't
//   accept (nothing but an error status, or no answer at all) used nothing; a cancelled one has
//   used its prompt.
class OpenAiModel : public LanguageModel {
 public:
  struct Options {
    std::string id;              // what ListModels shows and clients name
    std::string base_url;        // requests go to base_url + "/chat/completions": it ends where the
                                 // SDKs' base URLs do, mostly in "/v1"; a slash after it is dropped
    std::string api_key;         // empty: no Authorization header
    std::string upstream_model;  // what the upstream calls it; empty: `id`
    net::HttpTimeouts timeouts;
    // A longer answer is a runaway, and fails as UPSTREAM_BAD_RESPONSE.
    size_t answer_bytes_max = size_t{1024} * 1024;
    // Of passages: about 6,000 tokens, which leaves room in a window of 8,192.
    size_t context_bytes_max = size_t{24} * 1024;
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
