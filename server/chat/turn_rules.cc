#include "server/chat/turn_rules.h"

#include <cmath>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/status.h"

namespace aibackend::chat {
namespace {

using models::ChatMessage;
using models::ContentPart;
using models::GenerateRequest;
using models::ResponseFormat;
using models::Role;
using models::ToolChoice;

bool IsBlank(absl::string_view text) {
  return absl::StripAsciiWhitespace(text).empty();
}

absl::Status TooLarge(absl::string_view what, size_t bytes, size_t bytes_max,
                      absl::string_view field) {
  return MakeError(Reason::REQUEST_TOO_LARGE,
                   absl::StrCat(what, " hold ", bytes, " bytes; at most ", bytes_max, " are taken"),
                   field);
}

absl::Status TooMany(size_t count, size_t count_max, absl::string_view field) {
  return MakeError(
      Reason::FIELD_OUT_OF_RANGE,
      absl::StrCat(field, " holds ", count, " elements; at most ", count_max, " are taken"), field);
}

// Only what OpenAI's and Anthropic's APIs both take for a tool's name.
bool IsToolName(absl::string_view name) {
  if (name.empty() || name.size() > kNameBytesMax) return false;
  for (const char c : name) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '-') return false;
  }
  return true;
}

absl::Status CheckImage(const ContentPart& part, absl::string_view field) {
  if (absl::StartsWith(part.url, "https://") || absl::StartsWith(part.url, "http://")) {
    return absl::OkStatus();
  }
  if (absl::StartsWith(part.url, "data:image/") && absl::StrContains(part.url, ";base64,")) {
    return absl::OkStatus();
  }
  return MakeError(Reason::FIELD_INVALID,
                   "an image's url must be https://… or data:image/<type>;base64,…",
                   absl::StrCat(field, ".image_url.url"));
}

// Adds the message's text and other bytes to the sums.
absl::Status CheckMessage(const ChatMessage& message, absl::string_view field, size_t& text_bytes,
                          size_t& image_bytes) {
  if (!message.content.empty() && !message.parts.empty()) {
    return MakeError(Reason::FIELD_INVALID, "content and parts exclude each other",
                     absl::StrCat(field, ".parts"));
  }
  if (message.parts.size() > kPartsMax) {
    return TooMany(message.parts.size(), kPartsMax, absl::StrCat(field, ".parts"));
  }
  if (message.name.size() > kNameBytesMax) {
    return MakeError(Reason::FIELD_OUT_OF_RANGE,
                     absl::StrCat("name is longer than ", kNameBytesMax, " bytes"),
                     absl::StrCat(field, ".name"));
  }
  if (!message.tool_calls.empty() && message.role != Role::kAssistant) {
    return MakeError(Reason::FIELD_INVALID, "only an assistant's message calls tools",
                     absl::StrCat(field, ".tool_calls"));
  }
  if ((message.role == Role::kTool) != !message.tool_call_id.empty()) {
    return MakeError(message.role == Role::kTool ? Reason::FIELD_REQUIRED : Reason::FIELD_INVALID,
                     "a tool's message, and no other, names the call that it answers",
                     absl::StrCat(field, ".tool_call_id"));
  }
  text_bytes += message.content.size();
  for (size_t i = 0; i < message.parts.size(); ++i) {
    const ContentPart& part = message.parts[i];
    const bool is_image = part.kind == ContentPart::Kind::kImage;
    if (is_image) {
      AIB_RETURN_IF_ERROR(CheckImage(part, absl::StrCat(field, ".parts[", i, "]")));
    }
    (part.kind == ContentPart::Kind::kText ? text_bytes : image_bytes) +=
        is_image ? part.url.size() : part.text.size();
  }
  for (size_t i = 0; i < message.tool_calls.size(); ++i) {
    const models::ToolCall& call = message.tool_calls[i];
    if (call.id.empty() || call.name.empty()) {
      return MakeError(Reason::FIELD_REQUIRED, "a tool call has an id and a name",
                       absl::StrCat(field, ".tool_calls[", i, "]"));
    }
    text_bytes += call.id.size() + call.name.size() + call.arguments.size();
  }
  return absl::OkStatus();
}

absl::Status CheckMessages(const std::vector<ChatMessage>& messages) {
  if (messages.empty()) {
    return MakeError(Reason::MESSAGES_EMPTY, "messages must hold at least one message", "messages");
  }
  if (messages.size() > kMessagesMax) return TooMany(messages.size(), kMessagesMax, "messages");
  size_t text_bytes = 0;
  size_t image_bytes = 0;
  for (size_t i = 0; i < messages.size(); ++i) {
    AIB_RETURN_IF_ERROR(
        CheckMessage(messages[i], absl::StrCat("messages[", i, "]"), text_bytes, image_bytes));
  }
  if (text_bytes > kConversationBytesMax) {
    return TooLarge("messages", text_bytes, kConversationBytesMax, "messages");
  }
  if (image_bytes > kImageBytesMax) {
    return TooLarge("images", image_bytes, kImageBytesMax, "messages");
  }
  const size_t last = messages.size() - 1;
  if (messages[last].role == Role::kTool) return absl::OkStatus();  // its answer may be empty
  if (messages[last].role != Role::kUser) {
    return MakeError(Reason::FIELD_INVALID, "the last message must be the user's or a tool's",
                     absl::StrCat("messages[", last, "].role"));
  }
  if (messages[last].parts.empty() && IsBlank(messages[last].content)) {
    return MakeError(Reason::FIELD_REQUIRED, "the last message must not be empty",
                     absl::StrCat("messages[", last, "].content"));
  }
  return absl::OkStatus();
}

absl::Status CheckTools(const GenerateRequest& request) {
  if (request.tools.size() > kToolsMax) return TooMany(request.tools.size(), kToolsMax, "tools");
  absl::flat_hash_set<absl::string_view> names;
  size_t bytes = request.extra.size();
  for (size_t i = 0; i < request.tools.size(); ++i) {
    const models::Tool& tool = request.tools[i];
    const std::string field = absl::StrCat("tools[", i, "].name");
    if (!IsToolName(tool.name)) {
      return MakeError(Reason::FIELD_INVALID,
                       absl::StrCat("a tool's name has 1 to ", kNameBytesMax,
                                    " letters, digits, underscores and hyphens"),
                       field);
    }
    if (!names.insert(tool.name).second) {
      return MakeError(Reason::FIELD_INVALID, "two tools have this name", field);
    }
    bytes += tool.description.size() + tool.parameters.size();
  }
  if (request.response_format) bytes += request.response_format->schema.size();
  if (bytes > kJsonBytesMax) {
    return TooLarge("tools, schema and extra", bytes, kJsonBytesMax, "tools");
  }
  if (!request.tool_choice) return absl::OkStatus();
  if (request.tools.empty() && request.tool_choice->mode != ToolChoice::Mode::kNone) {
    return MakeError(Reason::FIELD_INVALID, "there are no tools to choose from", "tool_choice");
  }
  if (request.tool_choice->mode == ToolChoice::Mode::kTool &&
      !names.contains(request.tool_choice->name)) {
    return MakeError(Reason::FIELD_INVALID, "no tool has this name", "tool_choice.name");
  }
  return absl::OkStatus();
}

absl::Status CheckFormat(const GenerateRequest& request) {
  const bool has_schema =
      request.response_format && request.response_format->type == ResponseFormat::Type::kJsonSchema;
  if (!has_schema) return absl::OkStatus();
  if (!IsToolName(request.response_format->name)) {
    return MakeError(Reason::FIELD_INVALID,
                     absl::StrCat("a schema's name has 1 to ", kNameBytesMax,
                                  " letters, digits, underscores and hyphens"),
                     "response_format.name");
  }
  if (request.response_format->schema.empty()) {
    return MakeError(Reason::FIELD_REQUIRED, "json_schema needs a schema",
                     "response_format.schema");
  }
  return absl::OkStatus();
}

absl::Status OutOfRange(absl::string_view field, double value, double least, double most) {
  return MakeError(Reason::FIELD_OUT_OF_RANGE,
                   absl::StrCat(field, " is ", value, "; it must be from ", least, " to ", most),
                   field);
}

absl::Status CheckSampling(const GenerateRequest& request) {
  if (request.temperature &&
      !(*request.temperature >= 0 && *request.temperature <= kTemperatureMax)) {
    return MakeError(
        Reason::TEMPERATURE_OUT_OF_RANGE,
        absl::StrCat("temperature is ", *request.temperature, "; it must be from 0 to 2"),
        "temperature");
  }
  if (request.top_p && !(*request.top_p >= 0 && *request.top_p <= 1)) {
    return OutOfRange("top_p", *request.top_p, 0, 1);
  }
  if (request.max_tokens && (*request.max_tokens < 1 || *request.max_tokens > kMaxTokensMax)) {
    return MakeError(Reason::FIELD_OUT_OF_RANGE,
                     absl::StrCat("max_tokens is ", *request.max_tokens, "; it must be from 1 to ",
                                  kMaxTokensMax),
                     "max_tokens");
  }
  if (request.top_logprobs &&
      (*request.top_logprobs < 0 || *request.top_logprobs > kTopLogprobsMax)) {
    return OutOfRange("top_logprobs", *request.top_logprobs, 0, kTopLogprobsMax);
  }
  if (request.stop.size() > kStopMax) return TooMany(request.stop.size(), kStopMax, "stop");
  for (size_t i = 0; i < request.stop.size(); ++i) {
    if (!request.stop[i].empty() && request.stop[i].size() <= kStopBytesMax) continue;
    return MakeError(Reason::FIELD_OUT_OF_RANGE,
                     absl::StrCat("must have 1 to ", kStopBytesMax, " bytes"),
                     absl::StrCat("stop[", i, "]"));
  }
  return absl::OkStatus();
}

bool HasImages(const std::vector<ChatMessage>& messages) {
  for (const ChatMessage& message : messages) {
    for (const ContentPart& part : message.parts) {
      if (part.kind != ContentPart::Kind::kText) return true;
    }
  }
  return false;
}

}  // namespace

absl::Status CheckTurn(const TurnRequest& turn) {
  const GenerateRequest& request = turn.generate;
  AIB_RETURN_IF_ERROR(CheckMessages(request.messages));
  AIB_RETURN_IF_ERROR(CheckSampling(request));
  AIB_RETURN_IF_ERROR(CheckTools(request));
  AIB_RETURN_IF_ERROR(CheckFormat(request));
  if (turn.retrieval.top_k < 1 || turn.retrieval.top_k > kTopKMax) {
    return MakeError(Reason::TOP_K_OUT_OF_RANGE,
                     absl::StrCat("retrieval.top_k is ", turn.retrieval.top_k,
                                  "; it must be from 1 to ", kTopKMax),
                     "retrieval.top_k");
  }
  if (request.user.size() > kUserBytesMax) {
    return MakeError(Reason::FIELD_OUT_OF_RANGE,
                     absl::StrCat("user is longer than ", kUserBytesMax, " bytes"), "user");
  }
  return absl::OkStatus();
}

absl::Status CheckTurnOf(const models::ModelInfo& model, const TurnRequest& turn) {
  const GenerateRequest& request = turn.generate;
  if (request.temperature.value_or(0) > model.temperature_max) {
    return MakeError(Reason::TEMPERATURE_OUT_OF_RANGE,
                     absl::StrCat("temperature is ", *request.temperature, "; for model '",
                                  model.id, "' it must be from 0 to ", model.temperature_max),
                     "temperature");
  }
  if (model.is_general) return absl::OkStatus();
  const auto lacks = [&](absl::string_view what, absl::string_view field) {
    return MakeError(Reason::MODEL_LACKS_FEATURE,
                     absl::StrCat("model '", model.id, "' takes no ", what), field);
  };
  if (!request.tools.empty()) return lacks("tools", "tools");
  if (HasImages(request.messages)) return lacks("images or other parts", "messages");
  if (request.response_format && request.response_format->type != ResponseFormat::Type::kText) {
    return lacks("response format", "response_format");
  }
  return absl::OkStatus();
}

}  // namespace aibackend::chat
