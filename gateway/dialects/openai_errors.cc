#include "gateway/dialects/openai_errors.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "gateway/dialects/openai_json.h"

namespace aibackend::gateway {
namespace {

absl::string_view TypeOf(int http_status) {
  if (http_status == 401) return "authentication_error";
  if (http_status == 403) return "permission_error";
  if (http_status == 429) return "rate_limit_error";
  return http_status >= 500 ? "server_error" : "invalid_request_error";
}

// Where `text` names `word`, not merely has its letters; npos: nowhere.
size_t FindName(absl::string_view text, absl::string_view word) {
  const auto is_part = [](char c) { return absl::ascii_isalnum(c) || c == '_' || c == '-'; };
  for (size_t at = text.find(word); at != absl::string_view::npos; at = text.find(word, at + 1)) {
    const size_t end = at + word.size();
    if ((at == 0 || !is_part(text[at - 1])) && (end == text.size() || !is_part(text[end])))
      return at;
  }
  return absl::string_view::npos;
}

// An SDK's exception shows the message and not the param, so that the message names it, and by the
// API's name for it alone.
std::string MessageOf(const ApiError& error, const std::string& param) {
  if (param.empty() || FindName(error.message, param) != absl::string_view::npos)
    return error.message;
  const size_t at = FindName(error.message, error.field);
  if (at == absl::string_view::npos) return absl::StrCat(param, ": ", error.message);
  return std::string(error.message).replace(at, error.field.size(), param);
}

// A member of the contract's `extra` is one of the API's own.
absl::string_view WithoutExtra(absl::string_view field) {
  absl::ConsumePrefix(&field, "extra.");
  return field;
}

}  // namespace

std::string SameParam(absl::string_view field) {
  return std::string(WithoutExtra(field));
}

std::string ChatParam(absl::string_view field) {
  if (absl::StrContains(field, ".tool_calls["))
    return absl::StrReplaceAll(
        field, {{"].name", "].function.name"}, {"].arguments", "].function.arguments"}});
  if (absl::StartsWith(field, "messages"))
    return absl::StrReplaceAll(field, {{".parts", ".content"}});
  if (absl::StartsWith(field, "tools[") && !absl::StrContains(field, ".function"))
    return absl::StrReplaceAll(field, {{"].", "].function."}});
  if (field == "tool_choice.name") return "tool_choice.function.name";
  if (absl::StartsWith(field, "response_format.") && field != "response_format.type" &&
      !absl::StartsWith(field, "response_format.json_schema"))
    return absl::StrReplaceAll(field, {{"response_format.", "response_format.json_schema."}});
  return SameParam(field);
}

std::string ResponsesParam(absl::string_view field) {
  if (absl::StartsWith(field, "messages")) return "input";
  if (field == "max_tokens") return "max_output_tokens";
  if (absl::StartsWith(field, "response_format"))
    return absl::StrReplaceAll(field, {{"response_format", "text.format"}});
  return SameParam(field);
}

std::string OpenAiErrorCode(const ApiError& error) {
  if (error.http_status == 401) return "invalid_api_key";
  if (error.http_status == 429) return "rate_limit_exceeded";
  return absl::AsciiStrToLower(error.reason);
}

std::string OpenAiErrorObject(const ApiError& error, ParamNames names) {
  const std::string param = names(error.field);
  ObjectWriter object;
  object.String("message", MessageOf(error, param)).String("type", TypeOf(error.http_status));
  object.Raw("param", param.empty() ? "null" : Quoted(param));
  return object.String("code", OpenAiErrorCode(error)).Text();
}

HttpAnswer OpenAiError(const ApiError& error, ParamNames names) {
  return {error.http_status, ErrorHeaders(error),
          ObjectWriter().Raw("error", OpenAiErrorObject(error, names)).Text()};
}

}  // namespace aibackend::gateway
