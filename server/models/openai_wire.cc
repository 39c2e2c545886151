#include "server/models/openai_wire.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "server/base/status.h"
#include "server/models/json_fields.h"

namespace aibackend::models {
namespace {

using Element = simdjson::dom::element;
using Object = simdjson::dom::object;

const char* RoleName(Role role) {
  switch (role) {
    case Role::kSystem:
      return "system";
    case Role::kAssistant:
      return "assistant";
    case Role::kTool:
      return "tool";
    case Role::kUser:
      break;
  }
  return "user";
}

// Both numbers or none.
void ReadUsage(const Object& root, AnswerPiece* piece) {
  const auto usage = ObjectAt(root, "usage");
  if (!usage) return;
  const auto prompt = TokensAt(*usage, "prompt_tokens");
  const auto completion = TokensAt(*usage, "completion_tokens");
  if (!prompt || !completion) return;
  piece->prompt_tokens = prompt;
  piece->completion_tokens = completion;
}

UpstreamError ErrorOf(const Object& object) {
  UpstreamError error;
  error.message = StringAt(object, "message");
  if (error.message.empty()) error.message = StringAt(object, "detail");
  error.kind = StringAt(object, "code");
  int64_t code = 0;
  const bool is_status =
      object["code"].get(code) == simdjson::SUCCESS || absl::SimpleAtoi(error.kind, &code);
  if (is_status && code >= 400 && code <= 599) error.http_status = static_cast<int>(code);
  if (error.kind.empty()) error.kind = StringAt(object, "type");
  return error;
}

// {"error": {…}} or {"error": "…"}
absl::optional<UpstreamError> ErrorAt(const Object& root) {
  if (!HasValue(root, "error")) return absl::nullopt;
  if (const auto object = ObjectAt(root, "error")) return ErrorOf(*object);
  UpstreamError error;
  error.message = StringAt(root, "error");
  return error;
}

// The first choice: of several (nobody asked for them) the one with index 0.
bool FirstChoice(const Object& root, Object* first) {
  simdjson::dom::array choices;
  if (root["choices"].get(choices) != simdjson::SUCCESS) return false;
  for (const Element& choice : choices) {
    int64_t index = 0;
    if (choice.get(*first) != simdjson::SUCCESS) continue;
    if ((*first)["index"].get(index) != simdjson::SUCCESS || index == 0) return true;
  }
  return false;
}

// `message` is where the text stands: "delta" in a stream, else "message".
AnswerPiece PieceOf(const Object& root, const char* message_key) {
  AnswerPiece piece;
  piece.error = ErrorAt(root);
  if (piece.error) return piece;
  ReadUsage(root, &piece);
  Object choice;
  if (!FirstChoice(root, &choice)) return piece;
  piece.has_answer = true;
  piece.finish_reason = StringAt(choice, "finish_reason");
  const auto message = ObjectAt(choice, message_key);
  if (!message) return piece;
  piece.text = StringAt(*message, "content");
  if (piece.text.empty()) piece.text = StringAt(*message, "refusal");  // it is the model's answer
  piece.has_tool_call = HasValue(*message, "tool_calls") || HasValue(*message, "function_call");
  return piece;
}

// Of a body that may also be the error itself.
UpstreamError ErrorIn(const Object& root) {
  const auto error = ErrorAt(root);
  return error ? *error : ErrorOf(root);
}

}  // namespace

std::vector<ChatMessage> WithSystemPrompt(std::vector<ChatMessage> messages, std::string prompt) {
  const auto place = std::find_if(messages.begin(), messages.end(), [](const ChatMessage& message) {
    return message.role != Role::kSystem;
  });
  messages.insert(place, {Role::kSystem, std::move(prompt)});
  return messages;
}

std::string RequestBody(const GenerateRequest& request, const std::string& model,
                        const std::vector<ChatMessage>& messages) {
  nlohmann::ordered_json body;
  body["model"] = model;
  auto& list = body["messages"] = nlohmann::ordered_json::array();
  for (const ChatMessage& message : messages) {
    list.push_back({{"role", RoleName(message.role)}, {"content", message.content}});
  }
  if (request.temperature) body["temperature"] = *request.temperature;
  if (request.max_tokens) body["max_tokens"] = *request.max_tokens;
  if (!request.user.empty()) body["user"] = request.user;
  body["stream"] = request.stream;
  if (request.stream) body["stream_options"] = {{"include_usage", true}};
  return body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

absl::StatusOr<AnswerPiece> OpenAiReader::ReadEvent(absl::string_view type,
                                                    absl::string_view data) {
  AnswerPiece piece;
  if (data == "[DONE]") {
    piece.ends_stream = true;
    return piece;
  }
  AIB_ASSIGN_OR_RETURN(const Object root, ParseObject(parser_, data));
  if (type != "error") return PieceOf(root, "delta");
  piece.error = ErrorIn(root);
  return piece;
}

absl::StatusOr<AnswerPiece> OpenAiReader::ReadWhole(absl::string_view body) {
  AIB_ASSIGN_OR_RETURN(const Object root, ParseObject(parser_, body));
  return PieceOf(root, "message");
}

UpstreamError OpenAiReader::ReadError(absl::string_view body) {
  const auto root = ParseObject(parser_, body);
  return root.ok() ? ErrorIn(*root) : UpstreamError();
}

}  // namespace aibackend::models
