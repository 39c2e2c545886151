// What stands before and behind a model's answer: guardrails and the answer cache, as the settings
// say. A part of the composition root.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/clock.h"
#include "server/chat/answer_cache.h"
#include "server/chat/chat_service.h"
#include "server/chat/question_embedder.h"
#include "server/config/settings.h"
#include "server/guard/guardrails.h"
#include "server/retrieval/text_embedder.h"
#include "server/telemetry/metrics.h"
#include "server/usage/price_book.h"

namespace aibackend {

class AnswerStack {
 public:
  // Fails on a rule that can be none, by its name. `embedders` and `clock` outlive the stack.
  static absl::StatusOr<std::unique_ptr<AnswerStack>> Open(
      const config::Settings& settings, Clock& clock,
      const std::vector<retrieval::TextEmbedder*>& embedders);

  // Points into the stack. The others outlive the service.
  chat::ChatService::Options ChatOptions(const config::Settings& settings,
                                         const usage::PriceBook& prices,
                                         telemetry::Metrics& metrics);

  // That the answer cache holds.
  int64_t cache_bytes() const { return cache_ ? static_cast<int64_t>(cache_->bytes()) : 0; }

 private:
  AnswerStack(guard::Guardrails guardrails, const config::Settings& settings, Clock& clock,
              retrieval::TextEmbedder* embedder);

  const guard::Guardrails guardrails_;
  std::unique_ptr<chat::TextQuestionEmbedder> embedder_;  // null: none
  std::unique_ptr<chat::AnswerCache> cache_;              // null: none
};

}  // namespace aibackend
