#include "server/models/upstream_request.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace aibackend::models {
namespace {

// What a response of an allowed answer can weigh: in JSON a byte takes at most six ("\u0000"); in a
// stream a token of a few bytes comes in some 250 bytes of JSON. What isn't text is bounded too.
constexpr size_t kWholeFactor = 6;
constexpr size_t kStreamFactor = 512;
// Twenty alternatives with their bytes take some 2 KB a token; 64 still lets 30,000 tokens through
// where the answer's limit is its default.
constexpr size_t kLogprobsFactor = 64;
constexpr size_t kResponseExtraBytes = size_t{1024} * 1024;

// What of `id` may stand in the id of a tool call, from its end: 40 bytes are all that OpenAI takes
// for one, and only Anthropic says of which characters.
std::string CallIdPrefix(absl::string_view id) {
  constexpr size_t kBytesMax = 26;
  std::string kept;
  for (const char c : id) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-') kept += c;
  }
  if (kept.size() > kBytesMax) kept.erase(0, kept.size() - kBytesMax);
  return absl::StrCat("call_", kept, kept.empty() ? "" : "_");
}

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
  turn.stop = request.stop;
  turn.answer.bytes_max = limits.answer_bytes_max;
  turn.answer.tools_offered = !request.tools.empty();
  turn.answer.call_id_prefix = CallIdPrefix(request.request_id);
  turn.strict = request.grounding && request.grounding->strict;
  return turn;
}

net::HttpRequest PostJson(std::string url, std::string body) {
  net::HttpRequest http;
  http.url = std::move(url);
  http.headers = {{"Accept", "application/json"}, {"Content-Type", "application/json"}};
  http.body = std::move(body);
  return http;
}

net::HttpRequest JsonRequest(std::string url, std::string body, const GenerateRequest& request,
                             const UpstreamLimits& limits) {
  net::HttpRequest http = PostJson(std::move(url), std::move(body));
  if (request.stream) http.headers.front().second = "text/event-stream";
  size_t factor = request.stream ? kStreamFactor : kWholeFactor;
  if (request.top_logprobs) factor = std::max(factor, kLogprobsFactor);
  http.response_bytes_max = limits.answer_bytes_max * factor + kResponseExtraBytes;
  return http;
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
