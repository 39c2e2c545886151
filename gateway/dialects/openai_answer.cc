#include "gateway/dialects/openai_answer.h"

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "gateway/dialects/openai_json.h"
#include "gateway/transcode/json_writer.h"

namespace aibackend::gateway {
namespace {

// JSON has no infinity; a token that cannot be is OpenAI's -9999.
constexpr double kImpossible = -9999.0;

std::string LogprobMembers(const v1::TokenLogprob& logprob) {
  const double value = std::isfinite(logprob.logprob()) ? logprob.logprob() : kImpossible;
  const std::string bytes = absl::StrCat("[", absl::StrJoin(logprob.bytes(), ","), "]");
  return ObjectWriter()
      .String("token", logprob.token())
      .Raw("logprob", absl::StrFormat("%.*g", std::numeric_limits<double>::max_digits10, value))
      .Raw("bytes", logprob.bytes().empty() ? "null" : bytes)
      .Members();
}

}  // namespace

std::string LogprobsJson(const TokenLogprobs& logprobs) {
  std::string json = "[";
  for (const v1::TokenLogprob& logprob : logprobs) {
    absl::StrAppend(&json, json.size() > 1 ? "," : "", "{", LogprobMembers(logprob),
                    ",\"top_logprobs\":[");
    const char* separator = "";
    for (const v1::TokenLogprob& other : logprob.top_logprobs()) {
      absl::StrAppend(&json, separator, "{", LogprobMembers(other), "}");
      separator = ",";
    }
    json += "]}";
  }
  return json + "]";
}

std::optional<std::string> CitationsJson(const v1::ChatResponse& response) {
  std::vector<std::string> citations;
  for (const v1::Citation& citation : response.citations()) {
    auto json = MessageToJson(citation);
    if (!json) return std::nullopt;
    citations.push_back(*std::move(json));
  }
  return citations.empty() ? std::string() : ListText(citations);
}

}  // namespace aibackend::gateway
