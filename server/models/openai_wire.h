// How OpenAI's chat completions read (platform.openai.com/docs/api-reference/chat).
#pragma once

#include <simdjson.h>

#include <deque>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/models/answer_reader.h"

namespace aibackend::models {

// The error of an answer: in its "error", or the answer itself.
UpstreamError OpenAiErrorIn(const simdjson::dom::object& root);

// Of several choices only the first is read; an error's kind is its "code", else its "type". Knows
// also what compatible servers add: reasoning ("reasoning_content", "reasoning"), a string that
// ended the answer ("stop_reason"), the function_call of former days, and arguments that are an
// object in place of its text. Keeps its memory from one piece to the next.
class OpenAiReader final : public AnswerReader {
 public:
  absl::StatusOr<AnswerPiece> ReadEvent(absl::string_view type, absl::string_view data) override;
  absl::StatusOr<AnswerPiece> ReadWhole(absl::string_view body) override;
  UpstreamError ReadError(absl::string_view body) override;

 private:
  AnswerPiece PieceOf(const simdjson::dom::object& root, bool whole);
  void ReadToolCalls(const simdjson::dom::object& message, bool whole, AnswerPiece* piece);
  void ReadFunction(const simdjson::dom::object& function, ToolCallPiece* piece);

  simdjson::dom::parser parser_;
  std::deque<std::string> arguments_;  // of the last piece, those that came as objects
};

}  // namespace aibackend::models
