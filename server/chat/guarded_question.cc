#include "server/chat/guarded_question.h"

#include "server/base/status.h"

namespace aibackend::chat {
namespace {

absl::Status GuardMessage(const guard::Guardrails::Rules& rules, guard::Outcomes& outcomes,
                          models::ChatMessage& message) {
  AIB_RETURN_IF_ERROR(guard::GuardWhole(rules, outcomes, message.content));
  for (models::ContentPart& part : message.parts) {
    if (part.kind != models::ContentPart::Kind::kText) continue;
    AIB_RETURN_IF_ERROR(guard::GuardWhole(rules, outcomes, part.text));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status GuardTurn(const guard::Guardrails& guardrails, TurnRequest& turn) {
  if (turn.is_guarded || guardrails.input().empty()) return absl::OkStatus();
  guard::Outcomes outcomes;
  absl::Status status;
  for (models::ChatMessage& message : turn.generate.messages) {
    if (message.role != models::Role::kUser) continue;
    status = GuardMessage(guardrails.input(), outcomes, message);
    if (!status.ok()) break;
  }
  turn.guardrails = outcomes.list();
  turn.is_guarded = status.ok();
  return status.ok() ? status : MakeError(ReasonOf(status), status.message(), "messages");
}

}  // namespace aibackend::chat
