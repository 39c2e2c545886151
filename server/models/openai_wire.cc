#include "server/models/openai_wire.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "server/base/status.h"
#include "server/models/json_fields.h"

namespace aibackend::models {
namespace {

using Element = simdjson::dom::element;
using Object = simdjson::dom::object;

absl::optional<int> DetailAt(const Object& usage, const char* details, const char* key) {
  const auto object = ObjectAt(usage, details);
  return object ? TokensAt(*object, key) : absl::nullopt;
}

void ReadUsage(const Object& root, ReportedUsage* out) {
  const auto usage = ObjectAt(root, "usage");
  if (!usage) return;
  out->prompt_tokens = TokensAt(*usage, "prompt_tokens");
  out->completion_tokens = TokensAt(*usage, "completion_tokens");
  out->cached_tokens = DetailAt(*usage, "prompt_tokens_details", "cached_tokens");
  out->reasoning_tokens = DetailAt(*usage, "completion_tokens_details", "reasoning_tokens");
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

// False: not a token with its probability.
bool ReadLogprob(const Element& element, TokenLogprob* out) {
  Object object;
  if (element.get(object) != simdjson::SUCCESS) return false;
  if (object["logprob"].get(out->logprob) != simdjson::SUCCESS) return false;
  out->token = StringAt(object, "token");
  simdjson::dom::array bytes;
  if (object["bytes"].get(bytes) != simdjson::SUCCESS) return true;
  for (const Element& byte : bytes) {
    int64_t value = -1;
    if (byte.get(value) != simdjson::SUCCESS || value < 0 || value > 255) {
      out->bytes.clear();
      break;
    }
    out->bytes.push_back(static_cast<int>(value));
  }
  return true;
}

void ReadLogprobs(const Object& choice, std::vector<TokenLogprob>* out) {
  const auto logprobs = ObjectAt(choice, "logprobs");
  simdjson::dom::array tokens;
  if (!logprobs || (*logprobs)["content"].get(tokens) != simdjson::SUCCESS) return;
  for (const Element& element : tokens) {
    TokenLogprob token;
    if (!ReadLogprob(element, &token)) continue;
    simdjson::dom::array others;
    if (element["top_logprobs"].get(others) == simdjson::SUCCESS) {
      for (const Element& other : others) {
        TokenLogprob alternative;
        if (ReadLogprob(other, &alternative)) token.top_logprobs.push_back(std::move(alternative));
      }
    }
    out->push_back(std::move(token));
  }
}

}  // namespace

UpstreamError OpenAiErrorIn(const Object& root) {
  const auto error = ErrorAt(root);
  return error ? *error : ErrorOf(root);
}

void OpenAiReader::ReadFunction(const Object& function, ToolCallPiece* piece) {
  piece->name = TextAt(function, "name");
  piece->arguments = TextAt(function, "arguments");
  if (const auto arguments = ObjectAt(function, "arguments")) {
    piece->arguments = arguments_.emplace_back(simdjson::minify(*arguments));
  }
}

void OpenAiReader::ReadToolCalls(const Object& message, bool whole, AnswerPiece* piece) {
  simdjson::dom::array calls;
  if (message["tool_calls"].get(calls) == simdjson::SUCCESS) {
    for (const Element& element : calls) {
      Object call;
      if (element.get(call) != simdjson::SUCCESS) continue;
      ToolCallPiece& out = piece->tool_calls.emplace_back();
      int64_t place = 0;
      if (whole) {
        out.place = static_cast<int64_t>(piece->tool_calls.size());
      } else if (call["index"].get(place) == simdjson::SUCCESS) {
        out.place = place;
      }
      out.id = TextAt(call, "id");
      if (const auto function = ObjectAt(call, "function")) ReadFunction(*function, &out);
    }
  }
  const auto function = ObjectAt(message, "function_call");
  if (function && piece->tool_calls.empty()) {
    ReadFunction(*function, &piece->tool_calls.emplace_back());
  }
}

AnswerPiece OpenAiReader::PieceOf(const Object& root, bool whole) {
  AnswerPiece piece;
  piece.error = ErrorAt(root);
  if (piece.error) return piece;
  ReadUsage(root, &piece.usage);
  Object choice;
  if (!FirstChoice(root, &choice)) return piece;
  piece.has_answer = true;
  piece.finish_reason = TextAt(choice, "finish_reason");
  if (piece.finish_reason == "function_call") piece.finish_reason = "tool_calls";
  piece.stop_sequence = TextAt(choice, "stop_reason");
  ReadLogprobs(choice, &piece.logprobs);
  const auto message = ObjectAt(choice, whole ? "message" : "delta");
  if (!message) return piece;
  piece.reasoning = TextAt(*message, "reasoning_content");
  if (piece.reasoning.empty()) piece.reasoning = TextAt(*message, "reasoning");
  piece.text = TextAt(*message, "content");
  if (piece.text.empty()) piece.text = TextAt(*message, "refusal");  // it is the model's answer
  arguments_.clear();
  ReadToolCalls(*message, whole, &piece);
  return piece;
}

absl::StatusOr<AnswerPiece> OpenAiReader::ReadEvent(absl::string_view type,
                                                    absl::string_view data) {
  AnswerPiece piece;
  if (data == "[DONE]") {
    piece.ends_stream = true;
    return piece;
  }
  AIB_ASSIGN_OR_RETURN(const Object root, ParseObject(parser_, data));
  if (type != "error") return PieceOf(root, false);
  piece.error = OpenAiErrorIn(root);
  return piece;
}

absl::StatusOr<AnswerPiece> OpenAiReader::ReadWhole(absl::string_view body) {
  AIB_ASSIGN_OR_RETURN(const Object root, ParseObject(parser_, body));
  return PieceOf(root, true);
}

UpstreamError OpenAiReader::ReadError(absl::string_view body) {
  const auto root = ParseObject(parser_, body);
  return root.ok() ? OpenAiErrorIn(*root) : UpstreamError();
}

}  // namespace aibackend::models
