// OpenAI's chat completion JSON, both ways (platform.openai.com/docs/api-reference/chat).
#pragma once

#include <simdjson.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "server/models/language_model.h"

namespace aibackend::models {

// `messages` with `prompt` as one more system message, after those the conversation begins with.
std::vector<ChatMessage> WithSystemPrompt(std::vector<ChatMessage> messages, std::string prompt);

// The body of a request for `model`, with `messages` in place of the request's own. Text that isn't
// UTF-8 gets U+FFFD.
std::string RequestBody(const GenerateRequest& request, const std::string& model,
                        const std::vector<ChatMessage>& messages);

// What an upstream says went wrong; as it came, so not for anyone's eyes yet.
struct OpenAiError {
  std::string message;
  std::string kind;     // its "code", else its "type"
  int http_status = 0;  // if its "code" is one
};

// What one JSON object of an answer holds: a chunk of a stream or a whole completion.
struct OpenAiPiece {
  bool has_choice = false;
  std::string text;
  std::string finish_reason;  // empty: none yet
  bool has_tool_call = false;
  absl::optional<TokenUsage> usage;
  absl::optional<OpenAiError> error;
};

enum class PieceKind { kChunk, kWhole, kError };

// Not thread-safe; keeps its memory from one piece to the next.
class OpenAiReader {
 public:
  // UPSTREAM_BAD_RESPONSE when it is no JSON object. Fields that are missing or of another type
  // count as absent. Of several choices only the first is read.
  absl::StatusOr<OpenAiPiece> Read(absl::string_view json, PieceKind kind);

 private:
  simdjson::dom::parser parser_;
};

}  // namespace aibackend::models
