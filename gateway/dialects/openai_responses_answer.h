// OpenAI's Responses API, as it is answered whole; and the parts that its stream shares with that.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "gateway/dialects/openai_answer.h"
#include "gateway/transcode/answer_format.h"

namespace aibackend::gateway {

// {"object":"response",…} of a ChatResponse. `echo`: OpenAiResponses::echo.
std::unique_ptr<UnaryFormat> MakeResponse(AnswerHead head, std::string echo);

// One entry of a response's `output`.
struct OutputItem {
  enum class Kind { kReasoning, kMessage, kFunctionCall };
  Kind kind = Kind::kMessage;
  std::string id;
  std::string text;             // of a call: its arguments
  std::string logprobs = "[]";  // JSON
  std::string call_id;
  std::string name;
};

// "msg_<answer>_<index>", or by its kind.
std::string OutputItemId(OutputItem::Kind kind, const std::string& answer_id, size_t index);

// The part that holds the text of a message or of reasoning.
std::string ContentPartJson(OutputItem::Kind kind, absl::string_view text,
                            absl::string_view logprobs);

// `with_content`: false while its content is still to come.
std::string OutputItemJson(const OutputItem& item, absl::string_view status, bool with_content);

// "completed", or "incomplete" where the answer was cut short.
absl::string_view ResponseStatus(const v1::ChatResponse& done);

// Of the members of a response, those that its state decides.
struct ResponseState {
  std::string status;
  std::string error = "null";
  std::vector<OutputItem> items;           // the last is as complete as the answer
  const v1::ChatResponse* done = nullptr;  // null: not ended
};

// With `output_text`, the text of all messages, which SDKs add to some answers and not to others.
// nullopt: a citation has no JSON.
std::optional<std::string> ResponseJson(const AnswerHead& head, absl::string_view echo,
                                        const ResponseState& state);

}  // namespace aibackend::gateway
