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
#include "server/retrieval/retriever.h"

namespace aibackend::chat {

struct RetrievalChoice {
  bool enabled = true;
  int top_k = 5;
  absl::optional<bool> strict;  // absent: the server's setting
  std::string collection = "default";
};

struct TurnRequest {
  std::string request_id;
  std::vector<models::ChatMessage> messages;
  std::string model;  // empty: the default model
  absl::optional<double> temperature;
  absl::optional<int> max_tokens;
  std::string user;
  bool stream = false;
  RetrievalChoice retrieval;
};

// How a turn ended. `text` is what was generated, also when it failed or was cancelled midway.
struct TurnResult {
  absl::Status status;
  std::string text;
  std::string model;
  std::string finish_reason;
  models::Outcome outcome = models::Outcome::kAnswered;
  std::vector<models::Citation> citations;  // each verbatim: text == stored document [start, end)
  models::TokenUsage usage;
  NanoUsd cost;
  double confidence = 0;
  absl::Duration time_to_first_token;  // zero where nothing came
  absl::Duration elapsed;
};

// Receives one turn. Called by one thread at a time, never from inside Start() or Cancel().
class TurnSink {
 public:
  virtual ~TurnSink() = default;
  virtual void OnDelta(absl::string_view text) = 0;
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

  // The first model is the default. All references outlive the service and its turns.
  ChatService(std::vector<models::LanguageModel*> models, const retrieval::Retriever& retriever,
              Executor& executor, Clock& clock, Options options);

  // Refuses at once what can't be served (MESSAGES_EMPTY, TEMPERATURE_OUT_OF_RANGE,
  // MODEL_NOT_FOUND, OVERLOADED …): then `sink` is never called. Else the turn runs, and ends with
  // one OnDone.
  absl::StatusOr<std::shared_ptr<Turn>> Start(TurnRequest request, std::shared_ptr<TurnSink> sink);

  // Default first.
  std::vector<models::ModelInfo> Models() const;

 private:
  class RunningTurn;

  absl::StatusOr<models::LanguageModel*> FindModel(const std::string& id) const;

  const std::vector<models::LanguageModel*> models_;
  const retrieval::Retriever& retriever_;
  Executor& executor_;
  Clock& clock_;
  const Options options_;
  std::atomic<int> turns_{0};
};

}  // namespace aibackend::chat
