#include "server/models/openai_model.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/base/text.h"
#include "server/models/grounding_prompt.h"
#include "server/models/openai_generation.h"
#include "server/models/openai_wire.h"
#include "server/net/url.h"

namespace aibackend::models {
namespace {

// What a response of an allowed answer can weigh: in JSON a byte takes at most six ("\u0000"); in a
// stream a token of a few bytes comes in some 250 bytes of JSON. What isn't text is bounded too.
constexpr size_t kWholeFactor = 6;
constexpr size_t kStreamFactor = 512;
constexpr size_t kResponseExtraBytes = size_t{1024} * 1024;

absl::string_view WithoutSlash(absl::string_view url) {
  while (!url.empty() && url.back() == '/') url.remove_suffix(1);
  return url;
}

OpenAiModel::Options Normalised(OpenAiModel::Options options) {
  options.base_url = std::string(WithoutSlash(options.base_url));
  if (options.upstream_model.empty()) options.upstream_model = options.id;
  return options;
}

int EstimatePrompt(const std::vector<ChatMessage>& messages) {
  int tokens = 0;
  for (const ChatMessage& message : messages) tokens += EstimateTokens(message.content);
  return tokens;
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
  return info;
}

std::shared_ptr<Generation> OpenAiModel::Generate(const GenerateRequest& request,
                                                  std::shared_ptr<GenerateSink> sink) {
  OpenAiTurn turn;
  turn.upstream = upstream_;
  turn.stream = request.stream;
  turn.answer_bytes_max = options_.answer_bytes_max;
  std::vector<ChatMessage> messages = request.messages;
  if (request.grounding) {
    turn.strict = request.grounding->strict;
    turn.passages = PassagesWithin(*request.grounding, options_.context_bytes_max);
    messages = WithSystemPrompt(std::move(messages), GroundingPrompt(turn.passages, turn.strict));
  }
  turn.prompt_tokens = EstimatePrompt(messages);
  auto generation = std::make_shared<OpenAiGeneration>(std::move(turn), std::move(sink));
  generation->Attach(http_.Start(HttpRequestFor(request, messages), generation));
  return generation;
}

net::HttpRequest OpenAiModel::HttpRequestFor(const GenerateRequest& request,
                                             const std::vector<ChatMessage>& messages) const {
  net::HttpRequest http;
  http.url = absl::StrCat(options_.base_url, "/chat/completions");
  http.headers = {{"Content-Type", "application/json"},
                  {"Accept", request.stream ? "text/event-stream" : "application/json"}};
  if (!options_.api_key.empty()) {
    http.headers.emplace_back("Authorization", absl::StrCat("Bearer ", options_.api_key));
  }
  http.body = RequestBody(request, options_.upstream_model, messages);
  http.timeouts = options_.timeouts;
  http.response_bytes_max =
      options_.answer_bytes_max * (request.stream ? kStreamFactor : kWholeFactor) +
      kResponseExtraBytes;
  return http;
}

}  // namespace aibackend::models
