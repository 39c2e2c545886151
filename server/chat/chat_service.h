// One turn of a conversation: check → ground → generate → verify citations.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "server/base/clock.h"
#include "server/base/executor.h"
#include "server/base/money.h"
#include "server/models/language_model.h"
#include "server/models/model_catalog.h"
#include "server/retrieval/retriever.h"

namespace aibackend::chat {

struct RetrievalChoice {
  bool enabled = true;
  int top_k = 5;
  absl::optional<bool> strict;  // absent: the server's setting
  retrieval::CollectionId collection;
  retrieval::Mode mode = retrieval::Mode::kHybrid;
  retrieval::MetadataFilter filter;
  double min_score = 0;
};

// `generate` is what the model is asked; its model may be an alias, or empty for the default one.
// Its grounding is made here, from `retrieval`.
struct TurnRequest {
  models::GenerateRequest generate;
  RetrievalChoice retrieval;
};

// What was generated, all deltas together.
struct Answer {
  std::string text;
  std::string reasoning;
  std::vector<models::ToolCall> tool_calls;
  std::vector<models::TokenLogprob> logprobs;

  void Append(const models::Delta& delta);
};

// How a turn ended. `answer` is what was generated, also when it failed or was cancelled midway.
struct TurnResult {
  absl::Status status;
  Answer answer;
  std::string model;  // that answered
  std::string finish_reason;
  std::string stop_sequence;
  models::Outcome outcome = models::Outcome::kAnswered;
  std::vector<models::Citation> citations;  // each verbatim: text == stored document [start, end)
  int dropped_citations = 0;                // that the model made up; not in the answer's text
  models::TokenUsage usage;
  NanoUsd cost;
  double confidence = 0;
  absl::Duration time_to_first_token;  // zero where nothing came
  absl::Duration elapsed;
  int upstream_calls = 0;
};

// Receives one turn. Called by one thread at a time, never from inside Start() or Cancel().
class TurnSink {
 public:
  virtual ~TurnSink() = default;
  virtual void OnDelta(const models::Delta& delta) = 0;
  virtual void OnDone(TurnResult result) = 0;  // exactly once, last
};

// A turn under way. Dropping it does not cancel it.
class Turn {
 public:
  virtual ~Turn() = default;
  // OnDone follows soon, with CANCELLED unless the turn had ended. Idempotent, thread-safe, doesn't
  // block.
  virtual void Cancel() = 0;
};

// Thread-safe.
class ChatService {
 public:
  struct Options {
    bool strict_default = false;
    int turns_max = 10'000;
  };

  // All references outlive the service and its turns.
  ChatService(const models::ModelCatalog& models, const retrieval::Retriever& retriever,
              Executor& executor, Clock& clock, Options options);

  // Refuses at once what can't be served (MESSAGES_EMPTY, TEMPERATURE_OUT_OF_RANGE,
  // MODEL_NOT_FOUND, OVERLOADED …): then `sink` is never called. Else the turn runs, and ends with
  // one OnDone.
  absl::StatusOr<std::shared_ptr<Turn>> Start(TurnRequest request, std::shared_ptr<TurnSink> sink);

  // An estimate of the tokens of the messages and tools; documents are not searched. Refuses what
  // Start would refuse.
  absl::StatusOr<int> CountTokens(const TurnRequest& request) const;

 private:
  class RunningTurn;

  absl::StatusOr<models::LanguageModel*> ModelFor(const TurnRequest& request) const;

  const models::ModelCatalog& models_;
  const retrieval::Retriever& retriever_;
  Executor& executor_;
  Clock& clock_;
  const Options options_;
  std::atomic<int> turns_{0};
};

}  // namespace aibackend::chat
