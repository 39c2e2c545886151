#include "server/chat/guarded_answer.h"

#include <utility>

#include "server/base/status.h"
#include "server/chat/guarded_json.h"
#include "server/models/json_text.h"

namespace aibackend::chat {

GuardedAnswer::GuardedAnswer(const guard::Guardrails& guardrails)
    : guardrails_(guardrails),
      text_(guardrails.output(), outcomes_),
      reasoning_(guardrails.output(), outcomes_) {}

void GuardedAnswer::Take(const models::Delta& delta, Pass pass) {
  if (blocked_by_) return;
  TakeCalls(delta.tool_calls);
  // Reasoning ends where the text begins; what waits of it would come after that.
  TakeReasoning(delta.reasoning, /*is_all=*/!delta.text.empty(), pass);
  if (blocked_by_) return;
  if (!guardrails_.changes_output()) {
    models::Delta whole = delta;
    whole.reasoning = {};
    std::string same;
    text_.Take(delta.text, &same);
    if (!whole.text.empty() || !whole.tool_calls.empty() || !whole.logprobs.empty()) pass(whole);
    return;
  }
  logprobs_.insert(logprobs_.end(), delta.logprobs.begin(), delta.logprobs.end());
  TakeText(delta, /*is_all=*/false, pass);
}

void GuardedAnswer::End(Pass pass) {
  if (blocked_by_) return;
  TakeReasoning("", /*is_all=*/true, pass);
  if (blocked_by_) return;
  TakeText(models::Delta(), /*is_all=*/true, pass);
  if (!blocked_by_) EndCalls(pass);
}

void GuardedAnswer::TakeReasoning(absl::string_view reasoning, bool is_all, Pass pass) {
  std::string left;
  reasoning_.Take(reasoning, &left);
  if (is_all) reasoning_.Flush(&left);
  blocked_by_ = reasoning_.blocked_by();
  if (left.empty()) return;
  models::Delta delta;
  delta.reasoning = left;
  pass(delta);
}

void GuardedAnswer::TakeText(const models::Delta& delta, bool is_all, Pass pass) {
  std::string left;
  text_.Take(delta.text, &left);
  if (is_all) text_.Flush(&left);
  blocked_by_ = text_.blocked_by();
  if (left.empty()) return;
  pass(models::Delta(left));
}

void GuardedAnswer::TakeCalls(absl::Span<const models::ToolCallDelta> pieces) {
  for (const models::ToolCallDelta& piece : pieces) {
    const auto index = static_cast<size_t>(piece.index);
    if (index >= calls_.size()) calls_.resize(index + 1);
    calls_[index].id += piece.id;
    calls_[index].name += piece.name;
    calls_[index].arguments += piece.arguments;
  }
}

// As strings first, where an escape hides nothing, then as the text that they are written as, which
// has the numbers, too.
const guard::CompiledRule* GuardedAnswer::GuardArguments(std::string& arguments) {
  const guard::Guardrails::Rules& rules = guardrails_.output();
  const guard::CompiledRule* blocked_by = nullptr;
  if (models::IsJsonObject(arguments)) blocked_by = GuardJson(rules, outcomes_, arguments);
  return blocked_by != nullptr ? blocked_by : guard::ApplyWhole(rules, outcomes_, arguments);
}

void GuardedAnswer::EndCalls(Pass pass) {
  std::vector<models::ToolCallDelta> calls;
  for (models::ToolCall& call : calls_) {
    std::string arguments = call.arguments;
    blocked_by_ = GuardArguments(arguments);
    if (blocked_by_) return;
    calls.push_back({static_cast<int>(calls.size()), call.id, call.name, std::move(arguments)});
  }
  if (!guardrails_.changes_output()) return;  // they have been given out
  models::Delta delta;
  delta.tool_calls = calls;
  if (!text_.has_masked()) delta.logprobs = logprobs_;
  if (!delta.tool_calls.empty() || !delta.logprobs.empty()) pass(delta);
}

}  // namespace aibackend::chat
