#include "server/chat/guarded_answer.h"

#include "server/base/status.h"

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
  models::Delta checked(left);
  checked.is_quoted = delta.is_quoted;
  pass(checked);
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

void GuardedAnswer::EndCalls(Pass pass) {
  std::vector<models::ToolCallDelta> calls;
  for (models::ToolCall& call : calls_) {
    guard::GuardedText arguments(guardrails_.output(), outcomes_);
    std::string left;
    arguments.Take(call.arguments, &left);
    arguments.Flush(&left);
    blocked_by_ = arguments.blocked_by();
    if (blocked_by_) return;
    calls.push_back({static_cast<int>(calls.size()), call.id, call.name, std::move(left)});
  }
  if (!guardrails_.changes_output()) return;  // they have been given out
  models::Delta delta;
  delta.tool_calls = calls;
  if (!text_.has_masked()) delta.logprobs = logprobs_;
  if (!delta.tool_calls.empty() || !delta.logprobs.empty()) pass(delta);
}

}  // namespace aibackend::chat
