#include "server/chat/guarded_question.h"

#include <algorithm>
#include <utility>

#include "server/base/status.h"
#include "server/chat/guarded_json.h"
#include "server/guard/guarded_text.h"
#include "server/models/json_text.h"

namespace aibackend::chat {
namespace {

using guard::Guardrails;
using guard::Outcomes;
using models::ContentPart;
using Parts = std::vector<ContentPart>;

bool IsText(const ContentPart& part) {
  return part.kind == ContentPart::Kind::kText;
}

absl::Status GuardRaw(const Guardrails::Rules& rules, Outcomes& outcomes, std::string& json) {
  if (!models::IsJsonObject(json)) {
    return MakeError(Reason::FIELD_INVALID, "a raw part must be a JSON object");
  }
  const guard::CompiledRule* blocked_by = GuardJson(rules, outcomes, json);
  return blocked_by != nullptr ? guard::Blocked(*blocked_by) : absl::OkStatus();
}

absl::Status GuardEach(const Guardrails::Rules& rules, Outcomes& outcomes, Parts& parts) {
  for (ContentPart& part : parts) {
    if (IsText(part)) AIB_RETURN_IF_ERROR(guard::GuardWhole(rules, outcomes, part.text));
    if (part.kind == ContentPart::Kind::kRaw) {
      AIB_RETURN_IF_ERROR(GuardRaw(rules, outcomes, part.text));
    }
  }
  return absl::OkStatus();
}

// What follows each other as one text. Parts that a mask leaves empty are no more: models refuse
// them.
absl::Status GuardJoined(const Guardrails::Rules& rules, Outcomes& outcomes, Parts& parts) {
  guard::GuardedText text(rules, outcomes);
  std::vector<std::string> left(parts.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!IsText(parts[i])) continue;
    text.Take(parts[i].text, &left[i]);
    if (i + 1 == parts.size() || !IsText(parts[i + 1])) text.Flush(&left[i]);
  }
  if (text.blocked_by() != nullptr) return guard::Blocked(*text.blocked_by());
  if (!text.has_masked()) return absl::OkStatus();
  for (size_t i = 0; i < parts.size(); ++i) {
    if (IsText(parts[i])) parts[i].text = std::move(left[i]);
  }
  const auto is_empty = [](const ContentPart& part) { return IsText(part) && part.text.empty(); };
  parts.erase(std::remove_if(parts.begin(), parts.end(), is_empty), parts.end());
  return absl::OkStatus();
}

absl::Status GuardMessage(const Guardrails::Rules& rules, Outcomes& outcomes,
                          models::ChatMessage& message) {
  AIB_RETURN_IF_ERROR(guard::GuardWhole(rules, outcomes, message.content));
  AIB_RETURN_IF_ERROR(GuardEach(rules, outcomes, message.parts));
  if (std::count_if(message.parts.begin(), message.parts.end(), IsText) < 2) {
    return absl::OkStatus();
  }
  return GuardJoined(rules, outcomes, message.parts);
}

// Tells what the rules did, and names the field of what they refuse.
absl::Status Ended(const ChatService::Options& options, const std::vector<std::string>& outcomes,
                   const absl::Status& status, absl::string_view field) {
  if (options.on_guarded && !outcomes.empty()) options.on_guarded(outcomes);
  return status.ok() ? status : MakeError(ReasonOf(status), status.message(), field);
}

}  // namespace

absl::Status GuardTurn(const ChatService::Options& options, TurnRequest& turn) {
  const Guardrails* guardrails = options.guardrails;
  if (turn.is_guarded || guardrails == nullptr || guardrails->input().empty()) {
    return absl::OkStatus();
  }
  Outcomes outcomes;
  absl::Status status;
  for (models::ChatMessage& message : turn.generate.messages) {
    if (message.role != models::Role::kUser) continue;
    status = GuardMessage(guardrails->input(), outcomes, message);
    if (!status.ok()) break;
  }
  turn.guardrails = outcomes.list();
  turn.is_guarded = status.ok();
  return Ended(options, turn.guardrails, status, "messages");
}

absl::Status GuardTexts(const ChatService::Options& options, std::vector<std::string>& texts,
                        std::vector<std::string>& outcomes) {
  if (options.guardrails == nullptr) return absl::OkStatus();
  Outcomes acted;
  absl::Status status;
  for (std::string& text : texts) {
    status = guard::GuardWhole(options.guardrails->input(), acted, text);
    if (!status.ok()) break;
  }
  outcomes = acted.list();
  return Ended(options, outcomes, status, "input");
}

}  // namespace aibackend::chat
