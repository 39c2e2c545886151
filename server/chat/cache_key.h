// What makes two turns the same to the cache of answers.
#pragma once

#include <cstdint>
#include <string>

#include "server/chat/chat_service.h"

namespace aibackend::chat {

struct CacheKey {
  std::string exact;     // SHA-256 of everything that an answer may depend on
  std::string scope;     // the same without the question
  std::string question;  // the last user text
};

// `turn` after its guardrails, for `model`, which is the one that is asked. `strict` as the turn
// does it, `revision` of the documents that it searches; neither counts where nothing is searched.
// Who asks within a tenant, and whether the answer is streamed, makes no difference.
CacheKey CacheKeyOf(const TurnRequest& turn, const models::ModelInfo& model, bool strict,
                    uint64_t revision);

}  // namespace aibackend::chat
