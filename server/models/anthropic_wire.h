// How the answers of Anthropic's Messages API read (docs.anthropic.com/en/api/messages and
// …/messages-streaming, version 2023-06-01).
#pragma once

#include <simdjson.h>

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/models/answer_reader.h"

namespace aibackend::models {

// Blocks of text, thinking and tool_use are read; what the upstream's own tools did is passed over.
// An input that comes as JSON keeps its text (one with a number beyond a double's range makes the
// whole answer no JSON; as the text that streams have, it may hold any). Prompt tokens include
// those of the cache. The stop reasons that have an equal become finish reasons: end_turn and
// stop_sequence "stop", max_tokens "length", tool_use "tool_calls", refusal "content_filter".
class AnthropicReader final : public AnswerReader {
 public:
  absl::StatusOr<AnswerPiece> ReadEvent(absl::string_view type, absl::string_view data) override;
  absl::StatusOr<AnswerPiece> ReadWhole(absl::string_view body) override;
  UpstreamError ReadError(absl::string_view body) override;

 private:
  static void ReadBlockStart(const simdjson::dom::object& root, absl::string_view json,
                             AnswerPiece* piece);
  void ReadContent(const simdjson::dom::array& content, absl::string_view json, AnswerPiece* piece);

  simdjson::dom::parser parser_;
  std::string text_;       // of a whole answer, its blocks joined
  std::string reasoning_;  // likewise
};

}  // namespace aibackend::models
