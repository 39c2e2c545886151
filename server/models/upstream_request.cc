#include "server/models/upstream_request.h"

#include <utility>

#include "server/base/text.h"
#include "server/models/grounding_prompt.h"

namespace aibackend::models {
namespace {

// What a response of an allowed answer can weigh: in JSON a byte takes at most six ("\u0000"); in a
// stream a token of a few bytes comes in some 250 bytes of JSON. What isn't text is bounded too.
constexpr size_t kWholeFactor = 6;
constexpr size_t kStreamFactor = 512;
constexpr size_t kResponseExtraBytes = size_t{1024} * 1024;

}  // namespace

std::string WithoutSlash(absl::string_view url) {
  while (!url.empty() && url.back() == '/') url.remove_suffix(1);
  return std::string(url);
}

UpstreamTurn TurnOf(const GenerateRequest& request, std::shared_ptr<const Upstream> upstream,
                    const UpstreamLimits& limits) {
  UpstreamTurn turn;
  turn.upstream = std::move(upstream);
  turn.stream = request.stream;
  turn.answer_bytes_max = limits.answer_bytes_max;
  if (request.grounding) {
    turn.strict = request.grounding->strict;
    turn.passages = PassagesWithin(*request.grounding, limits.context_bytes_max);
  }
  return turn;
}

int PromptTokens(const std::vector<ChatMessage>& messages) {
  int tokens = 0;
  for (const ChatMessage& message : messages) tokens += EstimateTokens(TextOf(message));
  return tokens;
}

net::HttpRequest JsonRequest(std::string url, std::string body, bool stream,
                             const UpstreamLimits& limits) {
  net::HttpRequest request;
  request.url = std::move(url);
  request.headers = {{"Content-Type", "application/json"},
                     {"Accept", stream ? "text/event-stream" : "application/json"}};
  request.body = std::move(body);
  request.response_bytes_max =
      limits.answer_bytes_max * (stream ? kStreamFactor : kWholeFactor) + kResponseExtraBytes;
  return request;
}

std::shared_ptr<Generation> StartGeneration(net::HttpClient& http, net::HttpRequest request,
                                            UpstreamTurn turn, std::unique_ptr<AnswerReader> reader,
                                            std::shared_ptr<GenerateSink> sink) {
  auto generation =
      std::make_shared<UpstreamGeneration>(std::move(turn), std::move(reader), std::move(sink));
  generation->Attach(http.Start(std::move(request), generation));
  return generation;
}

}  // namespace aibackend::models
