#include "gateway/dialects/anthropic_errors.h"

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "gateway/dialects/anthropic_request.h"
#include "gateway/transcode/json_writer.h"

namespace aibackend::gateway {
namespace {

absl::string_view TypeOf(int http_status) {
  switch (http_status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 408:
    case 504:
      return "timeout_error";
    case 409:
      return "conflict_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
      return "overloaded_error";
    default:
      return http_status < 500 ? "invalid_request_error" : "api_error";
  }
}

// "messages[4].parts[1].text" → "messages.2.content", by what their message 2 became. Their blocks
// have other numbers than our parts, so that a message's content is as near as it gets.
std::string MessageField(absl::string_view rest, const std::vector<int>& origins) {
  const size_t end = rest.find(']');
  size_t index = 0;
  if (end == absl::string_view::npos || !absl::SimpleAtoi(rest.substr(0, end), &index) ||
      index >= origins.size())
    return "messages";
  if (origins[index] == kOfSystem) return "system";
  rest.remove_prefix(end + 1);
  return absl::StrCat("messages.", origins[index],
                      rest.empty() || rest == ".role" ? rest : ".content");
}

std::string TheirName(absl::string_view field, const std::vector<int>& origins) {
  if (absl::ConsumePrefix(&field, "messages[")) return MessageField(field, origins);
  if (absl::ConsumePrefix(&field, "extra.")) return std::string(field);
  if (absl::StartsWith(field, "response_format")) return "output_config.format";
  if (absl::StartsWith(field, "stop[")) return absl::StrCat("stop_sequences", field.substr(4));
  if (field == "stop") return "stop_sequences";
  if (field == "user") return "metadata.user_id";
  return absl::StrReplaceAll(field, {{".parameters", ".input_schema"}});
}

// A path of ours, "messages[0].content", as they write it: "messages.0.content".
std::string Dotted(absl::string_view path) {
  return absl::StrReplaceAll(path, {{"[", "."}, {"]", ""}});
}

// With the place before it, once.
std::string MessageOf(const ApiError& error) {
  const std::string place = Dotted(error.field);
  if (place.empty() || absl::StartsWith(error.message, place + " ")) return error.message;
  return absl::StrCat(place, ": ", error.message);
}

}  // namespace

ApiError InAnthropicWords(ApiError error, const std::vector<int>& origins) {
  error.field = TheirName(error.field, origins);
  return error;
}

std::string AnthropicErrorJson(const ApiError& error, const std::string& request_id) {
  std::string json = absl::StrCat(R"({"type":"error","error":{"type":")", TypeOf(error.http_status),
                                  R"(","message":)");
  AppendJsonString(MessageOf(error), json);
  json += R"(},"request_id":)";
  AppendJsonString(error.request_id.empty() ? request_id : error.request_id, json);
  json += "}";
  return json;
}

HttpAnswer AnthropicErrorAnswer(const ApiError& error, const std::string& request_id) {
  HeaderList headers = ErrorHeaders(error);
  headers.emplace_back(kAnthropicRequestIdHeader, request_id);
  return {error.http_status, std::move(headers), AnthropicErrorJson(error, request_id)};
}

}  // namespace aibackend::gateway
