// Answers that were given before, in memory.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "server/base/clock.h"
#include "server/chat/cache_key.h"
#include "server/chat/chat_service.h"
#include "server/chat/question_embedder.h"

namespace aibackend::chat {

// Thread-safe. Answers are shared within a tenant only, and only while the documents that they rest
// on are the same. The least recently used go first.
class AnswerCache {
 public:
  struct Options {
    CacheMode mode = CacheMode::kAuto;  // of requests that name none
    absl::Duration ttl = absl::Hours(1);
    size_t bytes_max = size_t{64} << 20;
    double threshold = 0.95;  // of kSemantic; a request may ask for more, not for less
    // A search looks at all questions of its scope: 512 of 1,024 dimensions take about a
    // millisecond.
    size_t scope_questions_max = 512;
  };

  // Where a turn's answer is looked for, and put.
  struct Slot {
    CacheKey key;
    bool is_semantic = false;
    double threshold = 1;
    absl::Duration max_age;
    telemetry::TraceContext trace;    // of the turn
    QuestionEmbedder::Vector vector;  // of the question, once it is known
  };

  // Both outlive it. Without an embedder kSemantic is kExact.
  AnswerCache(Clock& clock, QuestionEmbedder* embedder, Options options);
  ~AnswerCache();

  // The turn's place; absent where no answer is to be shared. `revision` of the documents, where
  // the turn searches some; absent: not known. Cheap where the answer is no.
  absl::optional<Slot> SlotOf(const TurnRequest& turn, const models::ModelInfo& model, bool strict,
                              absl::optional<uint64_t> revision) const;

  // The answer, with cache set and no cost, calls or times. Semantic: blocks on the embedder, where
  // the same was not asked before.
  absl::optional<TurnResult> Find(Slot& slot);

  // Keeps the answer where it is one to keep: none that failed, was filtered, or that another model
  // gave than `model`.
  void Put(const Slot& slot, const std::string& model, TurnResult result);

  size_t bytes() const;

 private:
  struct Entry;
  struct Scope;
  using Entries = std::list<Entry>;

  absl::optional<TurnResult> FindExact(const Slot& slot);
  absl::optional<TurnResult> FindSimilar(const Slot& slot);
  Entries::iterator Similar(Scope& scope, const Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddToScope(Entries::iterator entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Drop(Entries::iterator entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsYoung(const Entry& entry, absl::Duration max_age) const;

  Clock& clock_;
  QuestionEmbedder* const embedder_;
  const Options options_;

  mutable absl::Mutex mutex_;
  Entries entries_ ABSL_GUARDED_BY(mutex_);  // the one used last first
  absl::flat_hash_map<std::string, Entries::iterator> by_key_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, std::unique_ptr<Scope>> scopes_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace aibackend::chat
