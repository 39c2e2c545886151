// Which of the passages found go to the model.
#pragma once

#include <vector>

#include "server/models/language_model.h"

namespace aibackend::chat {

// Tokens for the passages of `request`: what its messages, tools, the prompt's rule and the answer
// leave of the model's context, at least kPassageTokensMin: a conversation that leaves no room is
// the upstream's to refuse, rather than answered as if nothing had been found. Estimated.
int PassageTokensWithin(const models::ModelInfo& model, const models::GenerateRequest& request);

inline constexpr int kPassageTokensMin = 256;
// Where the context is unknown: about 24 KB of English, which leaves room in a window of 8,192.
inline constexpr int kPassageTokensDefault = 6000;
// Kept free for an answer whose request and model name no limit.
inline constexpr int kAnswerTokensReserved = 1024;

// Those of `found`, best first, that fit into `tokens_max` together, in this order. What a passage
// shares with a better one of the same document is cut off it, or all of it; the bytes of the rest
// stay exact. One that doesn't fit is passed over, but the first is cut: at the end of a sentence,
// or between characters where not even one fits.
std::vector<models::Passage> PackPassages(std::vector<models::Passage> found, int tokens_max);

}  // namespace aibackend::chat
