// What a turn may ask for.
#pragma once

#include "absl/status/status.h"
#include "server/chat/chat_service.h"

namespace aibackend::chat {

inline constexpr size_t kMessagesMax = 256;  // a conversation that long wants a summary
inline constexpr size_t kConversationBytesMax =
    4 * 1024 * 1024;  // about a million tokens: beyond any model's context
inline constexpr int kMaxTokensMax = 65'536;
inline constexpr int kTopKMax = 50;  // passages in a prompt; more dilute it
inline constexpr double kTemperatureMax = 2.0;
inline constexpr size_t kUserBytesMax = 256;

// OK, or the first rule that the request breaks, naming the field.
absl::Status CheckTurn(const TurnRequest& request);

// The rules that are `model`'s own; for what CheckTurn has passed.
absl::Status CheckTurnOf(const models::ModelInfo& model, const TurnRequest& request);

}  // namespace aibackend::chat
