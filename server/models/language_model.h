// The port to language models: everything that can continue a conversation.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace aibackend::models {

enum class Role { kSystem, kUser, kAssistant };

struct ChatMessage {
  Role role = Role::kUser;
  std::string content;  // UTF-8
};

// A piece of a stored document: text == stored text [start, start + text.size()).
struct Passage {
  std::string document_id;
  std::string chunk_id;
  std::string title;
  std::string source;
  std::string text;
  size_t start = 0;  // bytes
  double score = 0;  // 0 to 1 within one query
};

// Below this confidence the documents don't answer the question; below the second they may
// (measured on public collections: the first refuses .88 of foreign questions and answers .90 of a
// collection's own).
inline constexpr double kConfidenceMin = 0.47;
inline constexpr double kConfidenceLow = 0.60;

// The answer of the outcome NO_CONTEXT.
inline constexpr char kNoContextAnswer[] =
    "No context found: the stored documents do not answer this question.";

// What retrieval found for the turn's question, best first.
struct Grounding {
  std::vector<Passage> passages;
  double confidence = 0;               // 0 to 1, see kConfidenceMin
  bool strict = false;                 // answer only from the passages
  std::string collection = "default";  // that the passages are from
};

struct Citation {
  std::string document_id;
  std::string chunk_id;
  std::string title;
  std::string source;
  std::string text;
  size_t start = 0;  // bytes into the stored document
  size_t end = 0;
};

struct GenerateRequest {
  std::string request_id;
  std::string model;                  // the id the client named, as ListModels gives it
  std::vector<ChatMessage> messages;  // the last one is the user's
  absl::optional<double> temperature;
  absl::optional<int> max_tokens;
  std::string user;
  bool stream = false;  // false: nobody watches the deltas, so they may come at once
  absl::optional<Grounding> grounding;  // absent: retrieval is off for this turn
};

struct TokenUsage {
  int prompt_tokens = 0;
  int completion_tokens = 0;
  bool estimated = false;
};

enum class Outcome { kAnswered, kNoContext };

// How a generation ended, also one that failed or was cancelled.
struct GenerateResult {
  absl::Status status;  // CANCELLED after Cancel(); what was generated until then is in `usage`
  std::string finish_reason;  // "stop" or "length" when status is OK
  Outcome outcome = Outcome::kAnswered;
  TokenUsage usage;
  std::vector<Citation> citations;
};

// Receives one generation. Called by one thread at a time; never from inside Generate() or
// Cancel().
class GenerateSink {
 public:
  virtual ~GenerateSink() = default;
  virtual void OnDelta(absl::string_view text) = 0;
  virtual void OnDone(GenerateResult result) = 0;  // exactly once, last
};

// A generation under way. Dropping it does not cancel it.
class Generation {
 public:
  virtual ~Generation() = default;
  // Asks it to stop: OnDone follows soon, with CANCELLED unless it had ended. Idempotent,
  // thread-safe, doesn't block.
  virtual void Cancel() = 0;
};

struct ModelInfo {
  std::string id;
  std::string provider;
  std::string description;
  std::vector<std::string> ignored_parameters;
  double temperature_max = 2;  // a turn with more is not for this model
};

// A language model that answers in pieces. Thread-safe; many generations run at once.
//
// Generate() returns at once and doesn't block. `sink` then sees deltas in order, and exactly one
// OnDone, whether the answer ended, failed or was cancelled; the model keeps the sink alive until
// then. Errors: UPSTREAM_* reasons, or FIELD_INVALID for what this model can never do.
class LanguageModel {
 public:
  virtual ~LanguageModel() = default;
  virtual ModelInfo info() const = 0;
  virtual std::shared_ptr<Generation> Generate(const GenerateRequest& request,
                                               std::shared_ptr<GenerateSink> sink) = 0;
};

}  // namespace aibackend::models
