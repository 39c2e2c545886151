// An upstream that speaks Anthropic's Messages API.
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
// UpstreamGeneration's to say; the end mark of a stream is "message_stop".
//
// Its temperatures end at 1, as info() says; what is above is for the caller to refuse (here it
// would come back as UPSTREAM_REJECTED_REQUEST).
class AnthropicModel : public LanguageModel {
 public:
  struct Options {
    std::string id;        // what ListModels shows and clients name
    std::string base_url;  // requests go to base_url + "/v1/messages", also where it ends in "/v1"
                           // already; a slash after it is dropped
    std::string api_key;   // empty: no x-api-key header
    std::string upstream_model;  // what the upstream calls it; empty: `id`
    // Of a request that names none: the API wants one. A long answer, and no model's limit is
    // below.
    int max_tokens_default = 4096;
    int context_tokens = 0;  // as ModelInfo's
    net::HttpTimeouts timeouts;
    UpstreamLimits limits;
    CallWatch watch;
  };

  // `http` must outlive the model and its generations.
  AnthropicModel(net::HttpClient& http, Options options);

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
