// The JSON of Anthropic's Messages API, both ways (docs.anthropic.com/en/api/messages and
// …/messages-streaming, version 2023-06-01).
#pragma once

#include <simdjson.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/models/answer_reader.h"
#include "server/models/language_model.h"

namespace aibackend::models {

// The body of a request for `model`, with `messages` in place of the request's own. System messages
// go to the top, wherever they stand, and neighbours of one role become one, with a blank line
// between, since roles are to alternate. Messages without text are left out: the API refuses them.
// Text that isn't UTF-8 gets U+FFFD.
std::string MessagesBody(const GenerateRequest& request, const std::string& model,
                         const std::vector<ChatMessage>& messages, int max_tokens);

// Blocks that aren't text (thinking, tools) are passed over. Prompt tokens include those of the
// cache. The stop reasons that have an equal become finish reasons: end_turn and stop_sequence
// "stop", max_tokens "length", refusal "content_filter".
class AnthropicReader final : public AnswerReader {
 public:
  absl::StatusOr<AnswerPiece> ReadEvent(absl::string_view type, absl::string_view data) override;
  absl::StatusOr<AnswerPiece> ReadWhole(absl::string_view body) override;
  UpstreamError ReadError(absl::string_view body) override;

 private:
  simdjson::dom::parser parser_;
};

}  // namespace aibackend::models
