// The embedded answerer: serves where no language model is configured, offline and without weights.
// It doesn't write, it quotes: whole sentences of the passages that retrieval found.
#pragma once

#include <memory>

#include "server/base/timer.h"
#include "server/models/language_model.h"
#include "server/retrieval/retriever.h"

namespace aibackend::chat {

// Thread-safe. The last user message is the question; what was said before it, system messages and
// the temperature are accepted and change nothing. Without grounding, or where its confidence is
// below models::kConfidenceMin, it says that it found nothing: outcome NO_CONTEXT and no
// citation.
//
// Choosing takes about a millisecond, on the thread that calls Generate(); the sink is called on
// the timer's thread. A stream comes word by word at `words_per_second`.
//
// Tokens: this model's token is what EstimateTokens() counts, so its usage is exact by definition
// (estimated = false). Prompt tokens are those of all messages and passages; completion tokens
// those of the text that was sent. max_tokens ends the text after the last whole word that fits,
// with finish_reason "length"; a citation then ends where the text does.
class ExtractiveModel final : public models::LanguageModel {
 public:
  struct Options {
    double words_per_second = 50;  // of a stream; 0: all at once
  };

  // `retriever` and `timer` outlive every generation.
  ExtractiveModel(const retrieval::Retriever& retriever, Timer& timer, Options options)
      : retriever_(retriever), timer_(timer), options_(options) {}

  models::ModelInfo info() const override;
  std::shared_ptr<models::Generation> Generate(const models::GenerateRequest& request,
                                               std::shared_ptr<models::GenerateSink> sink) override;

 private:
  const retrieval::Retriever& retriever_;
  Timer& timer_;
  const Options options_;
};

}  // namespace aibackend::chat
