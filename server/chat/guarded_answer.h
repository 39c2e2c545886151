// An answer under the guardrails of the output, while it streams.
#pragma once

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "server/guard/guarded_text.h"
#include "server/guard/guardrails.h"
#include "server/models/language_model.h"

namespace aibackend::chat {

// Gives out deltas of what the rules leave of the text and, by itself, of the reasoning. Where a
// rule takes something away:
//
// - Tool calls come whole, at the end: the rules work on the strings of their arguments, without
//   escapes, and on the arguments as text. A mask of what is no string (a number) leaves what is no
//   JSON.
// - Logprobs come at the end, and not at all where something of the text was masked: they are of
//   the text as the model wrote it.
//
// Not covered: the names of tools, and citations, which are the documents' own words. A match that
// lies partly in reasoning before the text and partly in reasoning after it isn't found.
//
// Not thread-safe.
class GuardedAnswer {
 public:
  using Pass = absl::FunctionRef<void(const models::Delta&)>;

  // `guardrails` outlives this.
  explicit GuardedAnswer(const guard::Guardrails& guardrails);

  void Take(const models::Delta& delta, Pass pass);
  // There is no more.
  void End(Pass pass);

  // The rule that has ended the answer; then nothing more comes out. Null: none.
  const guard::CompiledRule* blocked_by() const { return blocked_by_; }
  const guard::Outcomes& outcomes() const { return outcomes_; }

 private:
  void TakeReasoning(absl::string_view reasoning, bool is_all, Pass pass);
  void TakeText(const models::Delta& delta, bool is_all, Pass pass);
  void TakeCalls(absl::Span<const models::ToolCallDelta> pieces);
  const guard::CompiledRule* GuardArguments(std::string& arguments);
  void EndCalls(Pass pass);

  const guard::Guardrails& guardrails_;
  guard::Outcomes outcomes_;
  guard::GuardedText text_;
  guard::GuardedText reasoning_;
  const guard::CompiledRule* blocked_by_ = nullptr;
  std::vector<models::ToolCall> calls_;
  std::vector<models::TokenLogprob> logprobs_;  // that wait for the end
};

}  // namespace aibackend::chat
