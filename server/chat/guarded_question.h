// The guardrails of the input, on what users say.
#pragma once

#include "absl/status/status.h"
#include "server/chat/chat_service.h"
#include "server/guard/guardrails.h"

namespace aibackend::chat {

// Applies the rules to each text of the user's messages, by itself: the content, or each text part.
// Not to what others say (system, assistant, tools), nor to images, raw parts and tools' schemas.
//
// Notes in `turn` what they did, and that it is done: then it does nothing. CONTENT_BLOCKED for the
// field "messages" leaves the turn undone.
absl::Status GuardTurn(const guard::Guardrails& guardrails, TurnRequest& turn);

}  // namespace aibackend::chat
