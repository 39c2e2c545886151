// Where the store meets embedders outside: of queries, of documents that are added, of builds.
#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "server/base/status.h"
#include "server/retrieval/indexed_store.h"
#include "server/telemetry/log.h"

namespace aibackend::retrieval {
namespace {

using telemetry::Event;
using telemetry::Log;

// Adding waits for the vectors of so many new chunks, so long: what takes longer is a job's.
constexpr size_t kInlineEmbedChunksMax = 512;
constexpr absl::Duration kInlineEmbedTimeout = absl::Seconds(10);

// Texts that are handed over at once: their copies are held meanwhile.
constexpr size_t kBuildTexts = 1024;
// For these. The models have timeouts of their own; this is for one that has none.
constexpr absl::Duration kBuildTimeout = absl::Minutes(30);

}  // namespace

IndexedStore::IndexedStore(storage::Database& database, Clock& clock, const StoreOptions& options)
    : database_(database),
      clock_(clock),
      options_(options),
      vectors_(database),
      query_vectors_(options.query_embed_timeout, options.query_embeds_max),
      snapshots_(options.snapshot_dir) {
  for (TextEmbedder* embedder : options.embedders) {
    embedders_.push_back(std::make_unique<WatchedEmbedder>(*embedder, clock));
  }
}

WatchedEmbedder* IndexedStore::FindEmbedder(const std::string& name) const {
  for (const auto& embedder : embedders_) {
    if (embedder->name() == name) return embedder.get();
  }
  return nullptr;
}

absl::Status IndexedStore::CheckEmbedder(const std::string& name) const {
  if (name == kFittedEmbedder || FindEmbedder(name) != nullptr) return absl::OkStatus();
  std::vector<std::string> known = {kFittedEmbedder};
  for (const auto& embedder : embedders_) known.push_back(embedder->name());
  return MakeError(Reason::MODEL_NOT_FOUND, absl::StrCat("there is no such embedder; known are: ",
                                                         absl::StrJoin(known, ", ")));
}

// Made, where the collection is new.
Collection& IndexedStore::StateOf(const CollectionId& name) {
  const auto [found, is_new] = collections_.try_emplace(name);
  if (is_new) found->second.embedder = options_.embedder;
  return found->second;
}

// --- Searching

QueryVectors::Vector IndexedStore::VectorOfQuery(const CollectionIndex& index,
                                                 const RetrieveQuery& query, absl::string_view text,
                                                 bool& is_degraded) const {
  if (query.mode == Mode::kLexical || text.empty()) return nullptr;
  const absl::optional<OutsideSpace> space = index.outside();
  if (!space) return nullptr;
  WatchedEmbedder* embedder = FindEmbedder(space->embedder);
  absl::Status status;
  if (embedder == nullptr || embedder->key() != space->key) {
    status = MakeError(Reason::MODEL_NOT_FOUND, "it isn't configured");
  } else {
    auto vector = query_vectors_.Get(*embedder, std::string(text), query.trace);
    if (vector.ok() && (*vector)->size() == space->dimensions) return *std::move(vector);
    status = vector.ok() ? MakeError(Reason::UPSTREAM_BAD_RESPONSE,
                                     absl::StrCat("it gave ", (*vector)->size(), " dimensions for ",
                                                  space->dimensions))
                         : vector.status();
  }
  is_degraded = true;
  Log(Event::kRetrievalDegraded, {{"collection", query.collection.name},
                                  {"embedder", space->embedder},
                                  {"reason", ReasonName(ReasonOf(status))},
                                  {"message", status.message()}});
  return nullptr;
}

void IndexedStore::ReportIfEmbedderIsBack(const CollectionId& name) const {
  std::function<void(const CollectionId&)> callback;
  // A search doesn't wait for a writer: another one will find the same.
  if (!writer_.TryLock()) return;
  const auto found = collections_.find(name);
  if (found != collections_.end() && ShouldReport(found->second)) callback = on_outgrown_;
  writer_.Unlock();
  if (callback) callback(name);
}

// --- Adding

EmbeddedDocuments IndexedStore::EmbedForAdd(
    const CollectionId& name, const std::vector<std::shared_ptr<Document>>& documents) {
  EmbeddedDocuments embedded;
  std::vector<const Document*> changed;
  WatchedEmbedder* embedder = nullptr;
  {
    absl::MutexLock lock(&writer_);
    const Collection& state = StateOf(name);
    embedder = FindEmbedder(state.embedder);
    if (embedder == nullptr) return embedded;
    for (const auto& document : documents) {
      const auto stored = state.documents.find(document->id);
      if (stored != state.documents.end() &&
          stored->second->content_hash == document->content_hash) {
        continue;
      }
      changed.push_back(document.get());
    }
  }
  std::vector<std::string> texts;
  for (const Document* document : changed) {
    for (std::string& text : EmbeddedTexts(*document)) texts.push_back(std::move(text));
  }
  if (texts.empty()) return embedded;
  absl::Status status;
  if (texts.size() > kInlineEmbedChunksMax) {
    status = MakeError(Reason::OVERLOADED, "too many chunks to wait for");
  } else if (embedder->IsAway()) {
    status = MakeError(Reason::OVERLOADED, "the embedder has just failed");
  } else {
    status = vectors_.Embed(*embedder, texts, absl::Now() + kInlineEmbedTimeout,
                            [](size_t) { return absl::OkStatus(); });
  }
  if (!status.ok()) {
    Log(Event::kChunksUnembedded, {{"collection", name.name},
                                   {"embedder", embedder->name()},
                                   {"chunks", texts.size()},
                                   {"reason", ReasonName(ReasonOf(status))}});
  }
  auto found = vectors_.Find(embedder->key(), texts);
  if (!found.ok()) return embedded;
  embedded.key = embedder->key();
  auto next = found->begin();
  for (const Document* document : changed) {
    const auto end = next + static_cast<ptrdiff_t>(document->chunks.size());
    const bool any = std::any_of(next, end, [](const auto& vector) { return !vector.empty(); });
    if (any) {
      embedded.vectors[document] = std::make_shared<const ChunkVectors>(
          std::make_move_iterator(next), std::make_move_iterator(end));
    }
    next = end;
  }
  return embedded;
}

// --- Building

// Whether there was something to fit on.
absl::StatusOr<bool> IndexedStore::FitIndex(CollectionIndex& index, const Order& order) {
  if (order.embedder == kFittedEmbedder) return index.Fit(order.generation);
  if (order.outside == nullptr || index.chunks() == 0) return false;
  OutsideSpace space{order.embedder, order.outside->key(), order.dimensions};
  AIB_ASSIGN_OR_RETURN(const size_t kept, vectors_.Dimensions(space.key));
  if (kept != 0) space.dimensions = kept;
  if (space.dimensions == 0) return false;
  const auto vectors_of = [&](const std::vector<CollectionIndex::ChunkRef>& chunks) {
    std::vector<std::string> texts;
    texts.reserve(chunks.size());
    for (const auto& chunk : chunks) texts.push_back(EmbeddedText(*chunk.document, chunk.ordinal));
    return vectors_.Find(space.key, texts);
  };
  AIB_RETURN_IF_ERROR(index.FitOutside(order.generation, space, vectors_of));
  return true;
}

absl::Status IndexedStore::EmbedChunks(const std::vector<DocumentPtr>& documents,
                                       const Order& order,
                                       absl::FunctionRef<absl::Status(int64_t done)> progress) {
  int64_t before = 0;
  std::vector<std::string> texts;
  const auto embed = [&]() -> absl::Status {
    absl::Status status =
        vectors_.Embed(*order.outside, texts, absl::Now() + kBuildTimeout,
                       [&](size_t done) { return progress(before + static_cast<int64_t>(done)); });
    if (order.may_lack_vectors && WatchedEmbedder::IsEmbedders(status)) status = absl::OkStatus();
    before += static_cast<int64_t>(texts.size());
    texts.clear();
    return status;
  };
  for (const DocumentPtr& document : documents) {
    for (std::string& text : EmbeddedTexts(*document)) texts.push_back(std::move(text));
    if (texts.size() < kBuildTexts) continue;
    AIB_RETURN_IF_ERROR(embed());
    if (order.may_lack_vectors && order.outside->IsAway()) return absl::OkStatus();
  }
  return texts.empty() ? absl::OkStatus() : embed();
}

// A vector that no chunk refers to is of no use, also to a rollback, which cuts the same documents.
absl::Status IndexedStore::ForgetUnusedVectors() {
  // While documents are being embedded the next build does this.
  if (embedders_.empty() || !vectors_.in_use().TryLock()) return absl::OkStatus();
  std::vector<DocumentPtr> documents;
  {
    absl::MutexLock lock(&writer_);
    for (const auto& [name, state] : collections_) {
      for (const auto& [id, document] : state.documents) documents.push_back(document);
    }
  }
  absl::flat_hash_set<std::string> hashes;
  for (const DocumentPtr& document : documents) {
    for (const std::string& text : EmbeddedTexts(*document)) hashes.insert(HashOfText(text));
  }
  absl::Status status = vectors_.KeepOnly(hashes);
  vectors_.in_use().Unlock();
  return status;
}

}  // namespace aibackend::retrieval
