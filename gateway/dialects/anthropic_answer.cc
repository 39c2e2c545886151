#include "gateway/dialects/anthropic_answer.h"

#include <simdjson.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "gateway/dialects/anthropic_errors.h"
#include "gateway/transcode/json_reader.h"
#include "gateway/transcode/json_writer.h"

namespace aibackend::gateway {
namespace {

using google::protobuf::Message;

// Theirs is an object where ours is the model's text, which need not be one.
std::string ToolInput(const std::string& arguments) {
  simdjson::dom::parser parser;
  simdjson::dom::element value;
  if (parser.allocate(0, kJsonDepthMax) != simdjson::SUCCESS ||
      parser.parse(arguments).get(value) != simdjson::SUCCESS || !value.is_object())
    return "{}";
  return simdjson::to_string(value);
}

// [{thinking},{text},{tool_use}…], of those that there are.
std::string Content(const v1::ChatResponse& response) {
  std::string json = "[";
  const auto begin_block = [&json](absl::string_view head) {
    absl::StrAppend(&json, json.size() > 1 ? "," : "", head);
  };
  if (!response.reasoning().empty()) {
    begin_block(R"({"type":"thinking","thinking":)");
    AppendJsonString(response.reasoning(), json);
    json += R"(,"signature":""})";
  }
  if (!response.response().empty()) {
    begin_block(R"({"type":"text","text":)");
    AppendJsonString(response.response(), json);
    json += R"(,"citations":null})";
  }
  for (const v1::ToolCall& call : response.tool_calls()) {
    begin_block(R"({"type":"tool_use","id":)");
    AppendJsonString(call.id(), json);
    json += R"(,"name":)";
    AppendJsonString(call.name(), json);
    absl::StrAppend(&json, R"(,"input":)", ToolInput(call.arguments()), "}");
  }
  return json + "]";
}

HttpAnswer JsonAnswer(const AnthropicAsked& asked, std::string body) {
  return {200,
          {{"Content-Type", "application/json"}, {kAnthropicRequestIdHeader, asked.request_id}},
          std::move(body)};
}

class MessageFormat final : public UnaryFormat {
 public:
  explicit MessageFormat(AnthropicAsked asked) : asked_(std::move(asked)) {}

  std::optional<HttpAnswer> Answer(const Message& message) override {
    // Safe: the dialect makes this format for calls of Chat only.
    const auto& response = static_cast<const v1::ChatResponse&>(message);
    std::string json = R"({"id":)";
    AppendJsonString(AnthropicMessageId(response.id()), json);
    json += R"(,"type":"message","role":"assistant","model":)";
    AppendJsonString(response.model(), json);
    absl::StrAppend(&json, R"(,"content":)", Content(response), ",");
    AppendAnthropicStop(response, response.tool_calls_size() > 0, json);
    json += R"(,"usage":)";
    AppendAnthropicUsage(response.usage(), json);
    if (!AppendCitations(response, json)) return std::nullopt;
    return JsonAnswer(asked_, json + "}");
  }
  HttpAnswer Error(const ApiError& error, const std::string& request_id) override {
    return AnthropicErrorAnswer(InAnthropicWords(error, asked_.origins), request_id);
  }

 private:
  const AnthropicAsked asked_;
};

class TokenCountFormat final : public UnaryFormat {
 public:
  explicit TokenCountFormat(AnthropicAsked asked) : asked_(std::move(asked)) {}

  std::optional<HttpAnswer> Answer(const Message& message) override {
    // Safe: the dialect makes this format for calls of CountTokens only.
    const auto& response = static_cast<const v1::CountTokensResponse&>(message);
    return JsonAnswer(asked_, absl::StrCat(R"({"input_tokens":)", response.prompt_tokens(), "}"));
  }
  HttpAnswer Error(const ApiError& error, const std::string& request_id) override {
    return AnthropicErrorAnswer(InAnthropicWords(error, asked_.origins), request_id);
  }

 private:
  const AnthropicAsked asked_;
};

absl::string_view StopReason(const v1::ChatResponse& response, bool has_tool_calls) {
  const std::string& reason = response.finish_reason();
  if (reason == "length") return "max_tokens";
  if (reason == "content_filter") return "refusal";
  if (!response.stop_sequence().empty()) return "stop_sequence";
  // Some models say "stop" for it, and agents go on only where this says so.
  return reason == "tool_calls" || has_tool_calls ? "tool_use" : "end_turn";
}

}  // namespace

std::string AnthropicMessageId(absl::string_view request_id) {
  return absl::StrCat("msg_", absl::StripPrefix(request_id, "req_"));
}

void AppendAnthropicStop(const v1::ChatResponse& response, bool has_tool_calls, std::string& json) {
  const absl::string_view reason = StopReason(response, has_tool_calls);
  absl::StrAppend(&json, R"("stop_reason":")", reason, R"(","stop_sequence":)");
  if (reason == "stop_sequence") {
    AppendJsonString(response.stop_sequence(), json);
  } else {
    json += "null";
  }
}

void AppendAnthropicUsage(const v1::Usage& usage, std::string& json) {
  const int cached = usage.cached_tokens();
  absl::StrAppend(&json, R"({"input_tokens":)", std::max(0, usage.prompt_tokens() - cached),
                  R"(,"cache_creation_input_tokens":0,"cache_read_input_tokens":)", cached,
                  R"(,"output_tokens":)", usage.completion_tokens());
  if (usage.reasoning_tokens() > 0)
    absl::StrAppend(&json, R"(,"output_tokens_details":{"thinking_tokens":)",
                    usage.reasoning_tokens(), "}");
  json += "}";
}

bool AppendCitations(const v1::ChatResponse& response, std::string& json) {
  if (response.citations().empty()) return true;
  absl::string_view separator = R"(,"citations":[)";
  for (const v1::Citation& citation : response.citations()) {
    const auto text = MessageToJson(citation);
    if (!text) return false;
    absl::StrAppend(&json, separator, *text);
    separator = ",";
  }
  json += "]";
  return true;
}

std::unique_ptr<UnaryFormat> MakeAnthropicMessage(AnthropicAsked asked) {
  return std::make_unique<MessageFormat>(std::move(asked));
}

std::unique_ptr<UnaryFormat> MakeAnthropicTokenCount(AnthropicAsked asked) {
  return std::make_unique<TokenCountFormat>(std::move(asked));
}

}  // namespace aibackend::gateway
