#include "server/chat/answer_cache.h"

#include <faiss/IndexFlat.h>
#include <faiss/impl/IDSelector.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace aibackend::chat {
namespace {

// A longer text is no question, but a document to work on; it is looked for exactly.
constexpr size_t kQuestionBytesMax = 8192;
// Of an entry, beside what its answer holds: the lists, the maps, the small strings.
constexpr size_t kEntryBytes = 1024;

size_t BytesOf(const TurnResult& result) {
  const Answer& answer = result.answer;
  size_t bytes = kEntryBytes + answer.text.size() + answer.reasoning.size() +
                 models::MemoryBytes(answer.logprobs);
  for (const models::ToolCall& call : answer.tool_calls) {
    bytes += sizeof(call) + call.id.size() + call.name.size() + call.arguments.size();
  }
  for (const models::Citation& c : result.citations) {
    bytes += sizeof(c) + c.document_id.size() + c.chunk_id.size() + c.title.size() +
             c.source.size() + c.text.size();
  }
  for (const std::string& passage : result.passages) bytes += sizeof(std::string) + passage.size();
  return bytes;
}

// Leaves of a turn what is the answer, and not the giving of it.
void StripTurn(TurnResult& result) {
  result.cost = NanoUsd();
  result.time_to_first_token = result.elapsed = absl::ZeroDuration();
  result.upstream_calls = 0;
  result.model_asked = false;
  result.cache_missed = false;
  result.timeline.clear();
}

}  // namespace

struct AnswerCache::Entry {
  std::string key;
  std::string scope;
  std::shared_ptr<const TurnResult> result;
  absl::Time put_at;
  QuestionEmbedder::Vector vector;  // null: it stands in no scope
  size_t bytes = 0;
};

// The questions that differ in nothing but their words. Rows of the index are `entries`, in order.
struct AnswerCache::Scope {
  explicit Scope(size_t dimensions) : index(static_cast<int64_t>(dimensions)) {}
  faiss::IndexFlatIP index;
  std::vector<Entries::iterator> entries;  // the one put first first
};

AnswerCache::AnswerCache(Clock& clock, QuestionEmbedder* embedder, Options options)
    : clock_(clock), embedder_(embedder), options_(options) {}

AnswerCache::~AnswerCache() = default;

absl::optional<AnswerCache::Slot> AnswerCache::SlotOf(const TurnRequest& turn,
                                                      const models::ModelInfo& model, bool strict,
                                                      absl::optional<uint64_t> revision) const {
  CacheMode mode = turn.cache.mode.value_or(options_.mode);
  if (mode == CacheMode::kAuto) {
    mode = turn.generate.temperature == 0.0 ? CacheMode::kExact : CacheMode::kOff;
  }
  if (mode == CacheMode::kOff) return absl::nullopt;
  if (turn.retrieval.enabled && !revision) return absl::nullopt;
  Slot slot;
  slot.key = CacheKeyOf(turn, model, strict, revision.value_or(0));
  slot.is_semantic = mode == CacheMode::kSemantic && embedder_ != nullptr &&
                     !slot.key.question.empty() && slot.key.question.size() <= kQuestionBytesMax;
  slot.threshold = std::max(turn.cache.threshold.value_or(0), options_.threshold);
  slot.max_age = std::min(turn.cache.max_age.value_or(options_.ttl), options_.ttl);
  slot.trace = turn.generate.trace;
  return slot;
}

absl::optional<TurnResult> AnswerCache::Find(Slot& slot) {
  absl::optional<TurnResult> found = FindExact(slot);
  if (found || !slot.is_semantic) return found;
  auto vector = embedder_->VectorOf(slot.key.question, slot.trace);
  if (!vector.ok()) return absl::nullopt;
  slot.vector = *std::move(vector);
  return FindSimilar(slot);
}

absl::optional<TurnResult> AnswerCache::FindExact(const Slot& slot) {
  std::shared_ptr<const TurnResult> result;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = by_key_.find(slot.key.exact);
    if (found == by_key_.end()) return absl::nullopt;
    const auto entry = found->second;
    if (!IsYoung(*entry, options_.ttl)) {
      Drop(entry);
      return absl::nullopt;
    }
    if (!IsYoung(*entry, slot.max_age)) return absl::nullopt;
    entries_.splice(entries_.begin(), entries_, entry);
    result = entry->result;
  }
  TurnResult copy = *result;
  copy.cache = "exact";
  return copy;
}

absl::optional<TurnResult> AnswerCache::FindSimilar(const Slot& slot) {
  std::shared_ptr<const TurnResult> result;
  {
    absl::MutexLock lock(&mutex_);
    const auto scope = scopes_.find(slot.key.scope);
    if (scope == scopes_.end()) return absl::nullopt;
    const auto entry = Similar(*scope->second, slot);
    if (entry == entries_.end()) return absl::nullopt;
    entries_.splice(entries_.begin(), entries_, entry);
    result = entry->result;
  }
  TurnResult copy = *result;
  copy.cache = "semantic";
  return copy;
}

// The most similar one that is young enough; the end where there is none.
AnswerCache::Entries::iterator AnswerCache::Similar(Scope& scope, const Slot& slot) {
  if (static_cast<size_t>(scope.index.d) != slot.vector->size()) return entries_.end();
  const size_t count = scope.entries.size();
  std::vector<float> cosines(count);
  std::vector<faiss::Index::idx_t> rows(count);
  scope.index.search(1, slot.vector->data(), static_cast<faiss::Index::idx_t>(count),
                     cosines.data(), rows.data());
  for (size_t i = 0; i < count && rows[i] >= 0; ++i) {
    // A cosine of 1 comes out a little less in floats.
    if (static_cast<double>(cosines[i]) < slot.threshold - 1e-6) break;
    const auto entry = scope.entries[static_cast<size_t>(rows[i])];
    if (IsYoung(*entry, slot.max_age)) return entry;
  }
  return entries_.end();
}

bool AnswerCache::IsYoung(const Entry& entry, absl::Duration max_age) const {
  return clock_.Now() - entry.put_at < max_age;
}

void AnswerCache::Put(const Slot& slot, const std::string& model, TurnResult result) {
  if (!result.status.ok() || result.finish_reason == "content_filter" || result.model != model) {
    return;
  }
  StripTurn(result);
  Entry entry;
  entry.key = slot.key.exact;
  entry.scope = slot.key.scope;
  entry.result = std::make_shared<const TurnResult>(std::move(result));
  entry.put_at = clock_.Now();
  entry.vector = slot.vector;
  entry.bytes = BytesOf(*entry.result);
  // It stands in the index, too.
  if (entry.vector) entry.bytes += 2 * entry.vector->size() * sizeof(float);
  if (entry.bytes > options_.bytes_max) return;

  absl::MutexLock lock(&mutex_);
  const auto former = by_key_.find(entry.key);
  if (former != by_key_.end()) Drop(former->second);
  bytes_ += entry.bytes;
  entries_.push_front(std::move(entry));
  by_key_.emplace(entries_.front().key, entries_.begin());
  if (entries_.front().vector) AddToScope(entries_.begin());
  while (bytes_ > options_.bytes_max) Drop(std::prev(entries_.end()));
}

void AnswerCache::AddToScope(Entries::iterator entry) {
  std::unique_ptr<Scope>& scope = scopes_[entry->scope];
  const size_t dimensions = entry->vector->size();
  if (!scope) scope = std::make_unique<Scope>(dimensions);
  if (static_cast<size_t>(scope->index.d) != dimensions) {  // of another space; it is found exactly
    entry->vector = nullptr;
    return;
  }
  scope->index.add(1, entry->vector->data());
  scope->entries.push_back(entry);
  if (scope->entries.size() > options_.scope_questions_max) Drop(scope->entries.front());
}

void AnswerCache::Drop(Entries::iterator entry) {
  if (entry->vector) {
    const auto found = scopes_.find(entry->scope);
    Scope& scope = *found->second;
    const auto place = std::find(scope.entries.begin(), scope.entries.end(), entry);
    const auto row = static_cast<faiss::Index::idx_t>(place - scope.entries.begin());
    scope.index.remove_ids(faiss::IDSelectorRange(row, row + 1));
    scope.entries.erase(place);
    if (scope.entries.empty()) scopes_.erase(found);
  }
  bytes_ -= entry->bytes;
  by_key_.erase(entry->key);
  entries_.erase(entry);
}

size_t AnswerCache::bytes() const {
  absl::MutexLock lock(&mutex_);
  return bytes_;
}

}  // namespace aibackend::chat
