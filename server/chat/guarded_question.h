// The guardrails of the input, on what users say.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/chat/chat_service.h"
#include "server/guard/guardrails.h"

namespace aibackend::chat {

// Applies the rules to each of the user's messages: to its content, or to each text part and to all
// that follow each other as one text, since some readers take them apart and others join them; of a
// raw part to each of its strings (see guarded_json.h). Not to what others say (system, assistant,
// tools), nor to images and tools' schemas. A size is the message's. Where something of parts that
// are one text is masked, what is left may lie in another part than it was in.
//
// Notes in `turn` what they did, and that it is done: then it does nothing. CONTENT_BLOCKED (or
// FIELD_INVALID of a raw part that is no JSON) for the field "messages" leaves the turn undone.
// Tells options.on_guarded.
absl::Status GuardTurn(const ChatService::Options& options, TurnRequest& turn);

// Applies the rules to each text by itself; else as above, for the field "input".
absl::Status GuardTexts(const ChatService::Options& options, std::vector<std::string>& texts,
                        std::vector<std::string>& outcomes);

}  // namespace aibackend::chat
