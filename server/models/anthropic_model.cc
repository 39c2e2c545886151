#include "server/models/anthropic_model.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/models/anthropic_request.h"
#include "server/models/anthropic_wire.h"
#include "server/models/grounding_prompt.h"
#include "server/net/url.h"

namespace aibackend::models {
namespace {

// The version of the API whose requests and events anthropic_* know.
constexpr char kApiVersion[] = "2023-06-01";

AnthropicModel::Options Normalised(AnthropicModel::Options options) {
  options.base_url = WithoutSlash(options.base_url);
  if (options.upstream_model.empty()) options.upstream_model = options.id;
  return options;
}

}  // namespace

AnthropicModel::AnthropicModel(net::HttpClient& http, Options options)
    : http_(http),
      options_(Normalised(std::move(options))),
      upstream_(std::make_shared<Upstream>(
          Upstream{net::OriginOf(options_.base_url), options_.api_key})) {}

ModelInfo AnthropicModel::info() const {
  ModelInfo info;
  info.id = options_.id;
  info.provider = "anthropic";
  info.description = absl::StrCat(options_.upstream_model, " at ", upstream_->origin);
  info.context_tokens = options_.context_tokens;
  info.answer_tokens_default = options_.max_tokens_default;
  info.temperature_max = 1;
  info.ignored_parameters = {"seed", "top_logprobs"};
  return info;
}

std::shared_ptr<Generation> AnthropicModel::Generate(const GenerateRequest& request,
                                                     std::shared_ptr<GenerateSink> sink) {
  UpstreamTurn turn = TurnOf(request, upstream_, options_.limits);
  std::vector<ChatMessage> messages = request.messages;
  if (request.grounding) {
    messages.push_back({Role::kSystem, GroundingPrompt(request)});
  }
  turn.prompt_tokens = EstimatePromptTokens(request, messages);
  net::HttpRequest http = HttpRequestFor(request, messages);
  sink = Watch(options_.watch, request, options_.id, options_.upstream_model, "anthropic", http,
               std::move(sink));
  return StartGeneration(http_, std::move(http), std::move(turn),
                         std::make_unique<AnthropicReader>(), std::move(sink));
}

net::HttpRequest AnthropicModel::HttpRequestFor(const GenerateRequest& request,
                                                const std::vector<ChatMessage>& messages) const {
  const int max_tokens = request.max_tokens.value_or(options_.max_tokens_default);
  net::HttpRequest http =
      JsonRequest(absl::StrCat(absl::StripSuffix(options_.base_url, "/v1"), "/v1/messages"),
                  MessagesBody(request, options_.upstream_model, messages, max_tokens), request,
                  options_.limits);
  http.headers.emplace_back("anthropic-version", kApiVersion);
  if (!options_.api_key.empty()) http.headers.emplace_back("x-api-key", options_.api_key);
  http.timeouts = options_.timeouts;
  return http;
}

}  // namespace aibackend::models
