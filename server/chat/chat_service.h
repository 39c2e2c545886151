// One turn of a conversation: check → guard → look into the cache → ground → generate → verify
// citations → guard.
#pragma once

#include <atomic>
#include <functional>
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
#include "server/guard/guardrails.h"
#include "server/models/language_model.h"
#include "server/models/model_catalog.h"
#include "server/retrieval/retriever.h"
#include "server/usage/price_book.h"

namespace aibackend::chat {

class AnswerCache;
struct TurnWorld;

struct RetrievalChoice {
  bool enabled = true;
  int top_k = 5;
  absl::optional<bool> strict;  // absent: the server's setting
  retrieval::CollectionId collection;
  retrieval::Mode mode = retrieval::Mode::kHybrid;
  retrieval::MetadataFilter filter;
  double min_score = 0;
};

// Whether the answer may be one that was given before.
enum class CacheMode {
  kOff,
  kAuto,      // kExact where the temperature is 0, else kOff
  kExact,     // to the same request
  kSemantic,  // and to one whose question means the same
};

// Of one request; what is absent is the server's.
struct CacheChoice {
  absl::optional<CacheMode> mode;
  absl::optional<double> threshold;  // of kSemantic: the least cosine, where above the server's
  absl::optional<absl::Duration> max_age;
};

// `generate` is what the model is asked; its model may be an alias, or empty for the default one.
// Its grounding is made here, from `retrieval`. retrieval.collection.tenant is who asks, also where
// nothing is retrieved.
struct TurnRequest {
  models::GenerateRequest generate;
  RetrievalChoice retrieval;
  CacheChoice cache;
  // Called once, on the executor, right before the model is asked: `request` is what it gets, with
  // its passages, and may still be given a lower max_tokens. An error ends the turn. Not called
  // where no model is asked: no evidence, an answer from the cache, a turn that is cancelled or
  // fails before.
  std::function<absl::Status(const models::ModelInfo& model, models::GenerateRequest& request)>
      before_model;
  // ChatService::Guard() has done its work, and what it did.
  bool is_guarded = false;
  std::vector<std::string> guardrails;
};

// What a turn did when.
struct Step {
  std::string name;   // "cache", "retrieved", "asked", "first_token", "answered"
  absl::Duration at;  // since the turn's start
  std::string note;   // for people
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
  NanoUsd cost;                // 0 where the answer was given before
  bool price_unknown = false;  // `cost` says nothing
  int64_t price_version = 0;   // that it was made with; 0: no price was applied
  double confidence = 0;
  absl::Duration time_to_first_token;  // zero where nothing came
  absl::Duration elapsed;
  int upstream_calls = 0;
  bool model_asked = false;
  std::string cache;  // "exact" or "semantic": the answer was given before, and costs nothing
  bool cache_missed = false;            // it was looked for, in vain
  std::vector<std::string> guardrails;  // what they did, "name:action", each once, in order
  std::vector<Step> timeline;
  std::vector<std::string> passages;  // the chunk_id ("document_id#n") of those the model was given
};

// Receives one turn. Called by one thread at a time, never from inside Start() or Cancel().
class TurnSink {
 public:
  virtual ~TurnSink() = default;
  // Before the first delta, where the answer cache took part: whether it had the answer.
  virtual void OnCacheAsked(bool /*found*/) {}
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
    // These outlive the service. Null: none.
    const guard::Guardrails* guardrails = nullptr;
    AnswerCache* cache = nullptr;
    const usage::PriceBook* prices = nullptr;  // null: nothing costs anything
    // Told what guardrails did, "name:action" each: once to what came in, once to an answer; not
    // where they did nothing, nor of an answer that was given before. Must not block. May be none.
    std::function<void(const std::vector<std::string>&)> on_guarded;
    // Told how each turn ended, before its sink is; must not block. May be none.
    std::function<void(const TurnResult&)> on_end;
  };

  // All references outlive the service and its turns.
  ChatService(const models::ModelCatalog& models, const retrieval::Retriever& retriever,
              Executor& executor, Clock& clock, Options options);
  ~ChatService();

  // Applies the input's guardrails to the messages of `request`, once: a turn does it as the first
  // thing, unless it was done before by who records the question. What they did stands in
  // request.guardrails, also after CONTENT_BLOCKED, which is for field "messages" and names the
  // rule, not the text.
  absl::Status Guard(TurnRequest& request) const;
  // The same on the executor, where `done` gets the request and how it went: large messages take
  // a while. OVERLOADED at once where it is full; then `done` isn't called.
  using Guarded = std::function<void(TurnRequest request, const absl::Status& status)>;
  absl::Status GuardThen(TurnRequest request, Guarded done) const;
  // Whether there are such rules: what users say goes nowhere before they have seen it.
  bool guards_input() const;
  // Applies them to texts that are no turn's, such as those to embed; CONTENT_BLOCKED is for the
  // field "input".
  absl::Status GuardInputs(std::vector<std::string>& texts,
                           std::vector<std::string>& outcomes) const;

  // Refuses at once what can't be served (MESSAGES_EMPTY, TEMPERATURE_OUT_OF_RANGE,
  // MODEL_NOT_FOUND, OVERLOADED …): then `sink` is never called. Else the turn runs, and ends with
  // one OnDone.
  absl::StatusOr<std::shared_ptr<Turn>> Start(TurnRequest request, std::shared_ptr<TurnSink> sink);

  // An estimate of the tokens of the messages and tools; documents are not searched. Refuses what
  // Start would refuse.
  absl::StatusOr<int> CountTokens(const TurnRequest& request) const;

 private:
  absl::StatusOr<models::LanguageModel*> ModelFor(const TurnRequest& request) const;

  const models::ModelCatalog& models_;
  Executor& executor_;
  const Options options_;
  const std::unique_ptr<const TurnWorld> world_;
  std::atomic<int> turns_{0};
};

}  // namespace aibackend::chat
