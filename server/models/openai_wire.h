// OpenAI's chat completion JSON, both ways (platform.openai.com/docs/api-reference/chat).
#pragma once

#include <simdjson.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/models/answer_reader.h"
#include "server/models/language_model.h"

namespace aibackend::models {

// `messages` with `prompt` as one more system message, after those the conversation begins with.
std::vector<ChatMessage> WithSystemPrompt(std::vector<ChatMessage> messages, std::string prompt);

// The body of a request for `model`, with `messages` in place of the request's own. Text that isn't
// UTF-8 gets U+FFFD.
std::string RequestBody(const GenerateRequest& request, const std::string& model,
                        const std::vector<ChatMessage>& messages);

// Of several choices only the first is read; an error's kind is its "code", else its "type". Keeps
// its memory from one piece to the next.
class OpenAiReader final : public AnswerReader {
 public:
  absl::StatusOr<AnswerPiece> ReadEvent(absl::string_view type, absl::string_view data) override;
  absl::StatusOr<AnswerPiece> ReadWhole(absl::string_view body) override;
  UpstreamError ReadError(absl::string_view body) override;

 private:
  simdjson::dom::parser parser_;
};

}  // namespace aibackend::models
