// What came of one answer, and what of it the sink has not been told yet.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/models/answer_reader.h"
#include "server/models/language_model.h"
#include "server/models/tool_call_collector.h"

namespace aibackend::models {

// Not thread-safe.
class AnswerBuffer {
 public:
  struct Options {
    size_t bytes_max = 0;        // of text, reasoning and tool calls together; logprobs: 64 times
    bool tools_offered = false;  // false: calls are passed over
    std::string call_id_prefix;  // see ToolCallCollector
  };
  explicit AnswerBuffer(Options options);

  // Keeps what `piece` holds. If `in_order`, the sink is told first what is of another kind (text,
  // reasoning, tool calls), so that the kinds reach it in the order in which they came.
  // UPSTREAM_BAD_RESPONSE for an answer that is too long, whose words are for after "it ".
  absl::Status Take(AnswerPiece piece, bool in_order, GenerateSink& sink);
  // Tells the sink what it doesn't know yet, in one delta, if there is any.
  void Flush(GenerateSink& sink);
  // The answer ended well; to be flushed.
  void EndCalls() { calls_.End(&new_calls_); }

  const std::string& text() const { return text_; }
  const ToolCallCollector& calls() const { return calls_; }
  // A tool was called though none was offered.
  bool called_unoffered() const { return called_unoffered_; }
  int EstimateReasoningTokens() const;
  int EstimateTokens() const;  // of all of it

 private:
  enum class Kind { kNone, kReasoning, kText, kToolCalls };

  void Enter(Kind kind, bool in_order, GenerateSink& sink);
  absl::Status TakeCalls(const std::vector<ToolCallPiece>& pieces);
  bool Fits(size_t bytes);

  const Options options_;
  Kind kind_ = Kind::kNone;  // of what came last
  size_t bytes_ = 0;
  size_t logprobs_bytes_ = 0;  // that all of them have taken
  std::string text_;
  std::string reasoning_;
  ToolCallCollector calls_;
  bool called_unoffered_ = false;
  // New to the sink: the ends of text_ and reasoning_ from here on, and these.
  size_t text_told_ = 0;
  size_t reasoning_told_ = 0;
  std::vector<ToolCallDelta> new_calls_;
  std::vector<TokenLogprob> new_logprobs_;
};

}  // namespace aibackend::models
