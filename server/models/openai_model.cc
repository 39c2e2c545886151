#include "server/models/openai_model.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/models/grounding_prompt.h"
#include "server/models/openai_request.h"
#include "server/models/openai_wire.h"
#include "server/net/url.h"

namespace aibackend::models {
namespace {

OpenAiModel::Options Normalised(OpenAiModel::Options options) {
  options.base_url = WithoutSlash(options.base_url);
  if (options.upstream_model.empty()) options.upstream_model = options.id;
  return options;
}

}  // namespace

OpenAiModel::OpenAiModel(net::HttpClient& http, Options options)
    : http_(http),
      options_(Normalised(std::move(options))),
      upstream_(std::make_shared<Upstream>(
          Upstream{net::OriginOf(options_.base_url), options_.api_key})) {}

ModelInfo OpenAiModel::info() const {
  ModelInfo info;
  info.id = options_.id;
  info.provider = "openai";
  info.description = absl::StrCat(options_.upstream_model, " at ", upstream_->origin);
  info.context_tokens = options_.context_tokens;
  return info;
}

std::shared_ptr<Generation> OpenAiModel::Generate(const GenerateRequest& request,
                                                  std::shared_ptr<GenerateSink> sink) {
  UpstreamTurn turn = TurnOf(request, upstream_, options_.limits);
  std::vector<ChatMessage> messages = request.messages;
  if (request.grounding) {
    messages = WithSystemPrompt(std::move(messages), GroundingPrompt(request));
  }
  turn.prompt_tokens = EstimatePromptTokens(request, messages);
  net::HttpRequest http = HttpRequestFor(request, messages);
  sink = Watch(options_.watch, request, options_.id, options_.upstream_model, "openai", http,
               std::move(sink));
  return StartGeneration(http_, std::move(http), std::move(turn), std::make_unique<OpenAiReader>(),
                         std::move(sink));
}

net::HttpRequest OpenAiModel::HttpRequestFor(const GenerateRequest& request,
                                             const std::vector<ChatMessage>& messages) const {
  net::HttpRequest http = JsonRequest(absl::StrCat(options_.base_url, "/chat/completions"),
                                      RequestBody(request, options_.upstream_model, messages),
                                      request, options_.limits);
  if (!options_.api_key.empty()) {
    http.headers.emplace_back("Authorization", absl::StrCat("Bearer ", options_.api_key));
  }
  http.timeouts = options_.timeouts;
  return http;
}

}  // namespace aibackend::models
