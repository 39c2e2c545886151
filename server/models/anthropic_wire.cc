#include "server/models/anthropic_wire.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "server/base/status.h"
#include "server/models/json_fields.h"

namespace aibackend::models {
namespace {

using Object = simdjson::dom::object;

constexpr char kBlankLine[] = "\n\n";

void AppendParagraph(std::string* text, const std::string& paragraph) {
  absl::StrAppend(text, text->empty() ? "" : kBlankLine, paragraph);
}

std::string FinishReasonOf(const std::string& stop_reason) {
  if (stop_reason == "end_turn" || stop_reason == "stop_sequence") return "stop";
  if (stop_reason == "max_tokens") return "length";
  if (stop_reason == "refusal") return "content_filter";
  return stop_reason;
}

// The status that an error of this type comes with where it comes instead of an answer
// (docs.anthropic.com/en/api/errors).
int HttpStatusOf(absl::string_view error_type) {
  static constexpr std::pair<absl::string_view, int> kStatuses[] = {
      {"invalid_request_error", 400}, {"authentication_error", 401},
      {"billing_error", 402},         {"permission_error", 403},
      {"not_found_error", 404},       {"request_too_large", 413},
      {"rate_limit_error", 429},      {"api_error", 500},
      {"timeout_error", 504},         {"overloaded_error", 529}};
  for (const auto& [type, status] : kStatuses) {
    if (type == error_type) return status;
  }
  return 0;
}

// {"type":"error","error":{"type":…,"message":…}}
absl::optional<UpstreamError> ErrorAt(const Object& root) {
  const auto object = ObjectAt(root, "error");
  if (!object) return absl::nullopt;
  UpstreamError error;
  error.message = StringAt(*object, "message");
  error.kind = StringAt(*object, "type");
  error.http_status = HttpStatusOf(error.kind);
  return error;
}

// "input_tokens" are those that the cache neither held nor took.
absl::optional<int> PromptTokensAt(const Object& usage) {
  const auto input = TokensAt(usage, "input_tokens");
  if (!input) return absl::nullopt;
  const int64_t sum = int64_t{*input} + TokensAt(usage, "cache_read_input_tokens").value_or(0) +
                      TokensAt(usage, "cache_creation_input_tokens").value_or(0);
  if (sum > std::numeric_limits<int>::max() / 2) return absl::nullopt;  // as TokensAt
  return static_cast<int>(sum);
}

void ReadBlock(const Object& block, AnswerPiece* piece) {
  const std::string type = StringAt(block, "type");
  if (type == "text") piece->text += StringAt(block, "text");
  if (type == "tool_use") piece->has_tool_call = true;
}

void ReadMessageStart(const Object& root, AnswerPiece* piece) {
  const auto message = ObjectAt(root, "message");
  const auto usage = message ? ObjectAt(*message, "usage") : absl::nullopt;
  // Its output_tokens are of the first moment, and no count of the answer.
  if (usage) piece->prompt_tokens = PromptTokensAt(*usage);
}

void ReadMessageDelta(const Object& root, AnswerPiece* piece) {
  if (const auto delta = ObjectAt(root, "delta")) {
    piece->finish_reason = FinishReasonOf(StringAt(*delta, "stop_reason"));
  }
  if (const auto usage = ObjectAt(root, "usage")) {  // cumulative
    piece->prompt_tokens = PromptTokensAt(*usage);
    piece->completion_tokens = TokensAt(*usage, "output_tokens");
  }
}

}  // namespace

std::string MessagesBody(const GenerateRequest& request, const std::string& model,
                         const std::vector<ChatMessage>& messages, int max_tokens) {
  std::string system;
  std::vector<ChatMessage> turns;
  for (const ChatMessage& message : messages) {
    if (absl::StripAsciiWhitespace(message.content).empty()) continue;
    if (message.role == Role::kSystem) {
      AppendParagraph(&system, message.content);
    } else if (!turns.empty() && turns.back().role == message.role) {
      AppendParagraph(&turns.back().content, message.content);
    } else {
      turns.push_back(message);
    }
  }
  nlohmann::ordered_json body;
  body["model"] = model;
  body["max_tokens"] = max_tokens;
  if (!system.empty()) body["system"] = std::move(system);
  auto& list = body["messages"] = nlohmann::ordered_json::array();
  for (ChatMessage& turn : turns) {
    list.push_back({{"role", turn.role == Role::kUser ? "user" : "assistant"},
                    {"content", std::move(turn.content)}});
  }
  if (request.temperature) body["temperature"] = *request.temperature;
  if (!request.user.empty()) body["metadata"] = {{"user_id", request.user}};
  body["stream"] = request.stream;
  return body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

absl::StatusOr<AnswerPiece> AnthropicReader::ReadEvent(absl::string_view type,
                                                       absl::string_view data) {
  AIB_ASSIGN_OR_RETURN(const Object root, ParseObject(parser_, data));
  AnswerPiece piece;
  const std::string event = StringAt(root, "type");  // as the event's name, which proxies may drop
  if (event == "error" || type == "error") {
    piece.error = ErrorAt(root).value_or(UpstreamError());
  } else if (event == "message_start") {
    ReadMessageStart(root, &piece);
  } else if (event == "content_block_start") {
    if (const auto block = ObjectAt(root, "content_block")) ReadBlock(*block, &piece);
  } else if (event == "content_block_delta") {
    const auto delta = ObjectAt(root, "delta");
    if (delta && StringAt(*delta, "type") == "text_delta") piece.text = StringAt(*delta, "text");
  } else if (event == "message_delta") {
    ReadMessageDelta(root, &piece);
  } else if (event == "message_stop") {
    piece.ends_stream = true;
  }
  piece.has_answer = !piece.text.empty();
  return piece;
}

absl::StatusOr<AnswerPiece> AnthropicReader::ReadWhole(absl::string_view body) {
  AIB_ASSIGN_OR_RETURN(const Object root, ParseObject(parser_, body));
  AnswerPiece piece;
  piece.error = ErrorAt(root);
  if (piece.error) return piece;
  simdjson::dom::array content;
  piece.has_answer = root["content"].get(content) == simdjson::SUCCESS;
  if (!piece.has_answer) return piece;
  for (const simdjson::dom::element& element : content) {
    Object block;
    if (element.get(block) == simdjson::SUCCESS) ReadBlock(block, &piece);
  }
  piece.finish_reason = FinishReasonOf(StringAt(root, "stop_reason"));
  if (const auto usage = ObjectAt(root, "usage")) {
    piece.prompt_tokens = PromptTokensAt(*usage);
    piece.completion_tokens = TokensAt(*usage, "output_tokens");
  }
  return piece;
}

UpstreamError AnthropicReader::ReadError(absl::string_view body) {
  const auto root = ParseObject(parser_, body);
  return root.ok() ? ErrorAt(*root).value_or(UpstreamError()) : UpstreamError();
}

}  // namespace aibackend::models
