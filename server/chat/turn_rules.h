// What a turn may ask for.
#pragma once

#include "absl/status/status.h"
#include "server/chat/chat_service.h"

namespace aibackend::chat {

inline constexpr size_t kMessagesMax = 256;  // a conversation that long wants a summary
inline constexpr size_t kPartsMax = 256;     // of one message
inline constexpr size_t kConversationBytesMax =
    size_t{4} * 1024 * 1024;  // of text: about a million tokens, beyond any model's context
inline constexpr size_t kImageBytesMax = size_t{12} * 1024 * 1024;  // of all images and raw parts
inline constexpr size_t kToolsMax = 128;                            // what upstreams take
inline constexpr size_t kNameBytesMax = 128;                        // of a tool, a schema, a person
inline constexpr size_t kJsonBytesMax = size_t{1024} * 1024;        // of all tools, schema, extra
inline constexpr size_t kStopMax = 16;
inline constexpr size_t kStopBytesMax = 1024;  // of each
inline constexpr int kMaxTokensMax = 65'536;
inline constexpr int kTopKMax = 50;  // passages in a prompt; more dilute it
inline constexpr int kTopLogprobsMax = 20;
inline constexpr double kTemperatureMax = 2.0;
inline constexpr size_t kUserBytesMax = 256;

// OK, or the first rule that the request breaks, naming the field.
absl::Status CheckTurn(const TurnRequest& request);

// The rules that are `model`'s own; for what CheckTurn has passed. FIELD_OUT_OF_RANGE and the like,
// or MODEL_LACKS_FEATURE.
absl::Status CheckTurnOf(const models::ModelInfo& model, const TurnRequest& request);

}  // namespace aibackend::chat
