#include "server/models/openai_wire.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "server/base/status.h"
#include "server/base/text.h"

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
    case Role::kUser:
      break;
  }
  return "user";
}

std::string StringAt(const Object& object, const char* key) {
  std::string_view value;
  return object[key].get(value) == simdjson::SUCCESS ? std::string(value) : std::string();
}

bool HasValue(const Object& object, const char* key) {
  Element value;
  return object[key].get(value) == simdjson::SUCCESS && !value.is_null();
}

absl::optional<TokenUsage> UsageOf(const Object& root) {
  Object usage;
  int64_t prompt = 0;
  int64_t completion = 0;
  if (root["usage"].get(usage) != simdjson::SUCCESS) return absl::nullopt;
  if (usage["prompt_tokens"].get(prompt) != simdjson::SUCCESS) return absl::nullopt;
  if (usage["completion_tokens"].get(completion) != simdjson::SUCCESS) return absl::nullopt;
  constexpr int64_t kMax = std::numeric_limits<int>::max() / 2;  // so that their sum is an int
  if (prompt < 0 || completion < 0 || prompt > kMax || completion > kMax) return absl::nullopt;
  return TokenUsage{static_cast<int>(prompt), static_cast<int>(completion), false};
}

OpenAiError ErrorOf(const Element& element) {
  OpenAiError error;
  std::string_view text;
  if (element.get(text) == simdjson::SUCCESS) {  // {"error": "…"}
    error.message = std::string(text);
    return error;
  }
  Object object;
  if (element.get(object) != simdjson::SUCCESS) return error;
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

void ReadChoice(const Object& choice, PieceKind kind, OpenAiPiece* piece) {
  piece->has_choice = true;
  piece->finish_reason = StringAt(choice, "finish_reason");
  Object message;
  if (choice[kind == PieceKind::kWhole ? "message" : "delta"].get(message) != simdjson::SUCCESS) {
    return;
  }
  piece->text = StringAt(message, "content");
  if (piece->text.empty()) piece->text = StringAt(message, "refusal");  // it is the model's answer
  piece->has_tool_call = HasValue(message, "tool_calls") || HasValue(message, "function_call");
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

absl::StatusOr<OpenAiPiece> OpenAiReader::Read(absl::string_view json, PieceKind kind) {
  Element element;
  Object root;
  if (json.empty() || parser_.parse(json.data(), json.size()).get(element) != simdjson::SUCCESS ||
      element.get(root) != simdjson::SUCCESS) {
    return MakeError(Reason::UPSTREAM_BAD_RESPONSE, "it is not a JSON object");
  }
  OpenAiPiece piece;
  Element error;
  if (root["error"].get(error) == simdjson::SUCCESS && !error.is_null()) {
    piece.error = ErrorOf(error);
    return piece;
  }
  if (kind == PieceKind::kError) {
    piece.error = ErrorOf(element);
    return piece;
  }
  Object choice;
  if (FirstChoice(root, &choice)) ReadChoice(choice, kind, &piece);
  piece.usage = UsageOf(root);
  return piece;
}

}  // namespace aibackend::models
