// Making a collection's index: at the start, for a first fit, and as a new generation.
#include <algorithm>
#include <limits>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "server/base/status.h"
#include "server/retrieval/document_tables.h"
#include "server/retrieval/document_validation.h"
#include "server/retrieval/indexed_store.h"
#include "server/retrieval/linear_algebra.h"
#include "server/retrieval/text_embedder.h"
#include "server/telemetry/log.h"

namespace aibackend::retrieval {
namespace {

using telemetry::Event;
using telemetry::Log;

constexpr int64_t kRebuildBatch = 25;  // documents between two reports of progress
constexpr int64_t kLoadBatch = 200;    // documents read at a time

void SortBySeq(std::vector<Change>& changes) {
  std::sort(changes.begin(), changes.end(),
            [](const Change& a, const Change& b) { return a.added->seq < b.added->seq; });
}

}  // namespace

absl::StatusOr<std::unique_ptr<DocumentStore>> DocumentStore::Open(storage::Database& database,
                                                                   Clock& clock,
                                                                   StoreOptions options) {
  auto store = std::make_unique<IndexedStore>(database, clock, options);
  AIB_RETURN_IF_ERROR(store->Load());
  return std::unique_ptr<DocumentStore>(std::move(store));
}

absl::Status IndexedStore::Load() {
  UseOneMathThread();
  absl::MutexLock lock(&writer_);
  std::vector<CollectionId> names;
  AIB_RETURN_IF_ERROR(database_.Read([&](storage::Session& session) -> absl::Status {
    AIB_ASSIGN_OR_RETURN(names, ReadCollections(session));
    return absl::OkStatus();
  }));
  PrepareSnapshots(names);
  for (const CollectionId& name : names) AIB_RETURN_IF_ERROR(LoadCollection(name));
  return absl::OkStatus();
}

absl::Status IndexedStore::LoadCollection(const CollectionId& name) {
  Collection& state = StateOf(name);
  size_t chunks = 0;
  for (int64_t last = 0;;) {
    AIB_ASSIGN_OR_RETURN(std::vector<Document> batch, ReadBatch(name, last, kLoadBatch));
    if (batch.empty()) break;
    for (Document& document : batch) {
      last = document.seq;
      chunks += document.chunks.size();
      const std::string id = document.id;
      state.documents[id] = std::make_shared<const Document>(std::move(document));
    }
  }
  std::vector<Generation> generations;
  AIB_RETURN_IF_ERROR(database_.Read([&](storage::Session& session) -> absl::Status {
    AIB_ASSIGN_OR_RETURN(generations, ReadGenerations(session, name));
    return absl::OkStatus();
  }));
  const Generation stored = generations.empty() ? Generation() : generations.front();
  state.generation = stored.info.number;
  if (stored.info.number > 0) state.embedder = stored.info.embedder;
  const bool is_from_snapshot = LoadSnapshot(name, stored);
  if (!is_from_snapshot) {
    // Vectors from outside are what they were. The fit repeats, so what was fitted on as many
    // chunks is that generation again; else texts have come or gone since, and this is a new one.
    const bool repeats =
        state.embedder != kFittedEmbedder || stored.fitted_chunks == static_cast<int64_t>(chunks);
    FitAll(name, std::max(1, stored.info.number + (repeats ? 0 : 1)));
  }
  Log(Event::kIndexLoaded, {{"collection", name.name},
                            {"tenant", name.tenant},
                            {"from", is_from_snapshot ? "snapshot" : "documents"},
                            {"documents", state.documents.size()},
                            {"chunks", chunks},
                            {"generation", state.generation}});
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Document>> IndexedStore::ReadBatch(const CollectionId& name,
                                                              int64_t after_seq, int64_t limit) {
  std::vector<Document> batch;
  AIB_RETURN_IF_ERROR(database_.Read([&](storage::Session& session) -> absl::Status {
    AIB_ASSIGN_OR_RETURN(batch, ReadDocuments(session, name, after_seq, limit));
    return absl::OkStatus();
  }));
  return batch;
}

// A fresh index of the documents in memory, fitted if there are enough. No embedder is asked.
void IndexedStore::FitAll(const CollectionId& name, int generation) {
  Collection& state = StateOf(name);
  std::vector<Change> changes;
  for (const auto& [id, document] : state.documents) changes.push_back({0, document});
  SortBySeq(changes);
  auto index = std::make_shared<CollectionIndex>();
  index->Apply(changes);
  Order order;
  order.generation = generation;
  order.embedder = state.embedder;
  order.outside = FindEmbedder(state.embedder);
  const absl::StatusOr<bool> is_fitted = FitIndex(*index, order);
  if (!is_fitted.ok() || (order.outside == nullptr && state.embedder != kFittedEmbedder)) {
    Log(Event::kChunksUnembedded,
        {{"collection", name.name},
         {"embedder", state.embedder},
         {"chunks", index->chunks()},
         {"reason", is_fitted.ok() ? "not configured" : is_fitted.status().ToString()}});
  } else if (*is_fitted && generation != state.generation) {
    state.generation = generation;
    // If this fails the next start gives the number again, which harms nothing.
    (void)database_.Write([&](storage::Session& session) {
      return WriteGeneration(session, name, GenerationOf(*index));
    });
  }
  Publish(name, std::move(index));
  SaveSnapshot(name);
}

Generation IndexedStore::GenerationOf(const CollectionIndex& index) const {
  const absl::optional<OutsideSpace> outside = index.outside();
  return {{index.generation(), outside ? outside->embedder : kFittedEmbedder,
           static_cast<int>(index.dimensions()), clock_.Now()},
          static_cast<int64_t>(index.fitted_chunks()),
          ""};
}

// --- A new generation

absl::StatusOr<RebuildResult> IndexedStore::Rebuild(const CollectionId& collection,
                                                    const RebuildRequest& request,
                                                    Progress progress) {
  AIB_RETURN_IF_ERROR(ValidateCollection(collection.name));
  absl::MutexLock one_at_a_time(&rebuilding_);
  Order order;
  order.id = request.order_id;
  order.embedder = request.embedder;
  if (order.embedder.empty()) {
    absl::MutexLock lock(&writer_);
    order.embedder = StateOf(collection).embedder;
  }
  return Build(collection, std::move(order), progress);
}

absl::StatusOr<RebuildResult> IndexedStore::Rollback(const CollectionId& collection, int generation,
                                                     const std::string& order_id,
                                                     Progress progress) {
  AIB_RETURN_IF_ERROR(ValidateCollection(collection.name));
  absl::MutexLock one_at_a_time(&rebuilding_);
  std::vector<Generation> stored;
  AIB_RETURN_IF_ERROR(database_.Read([&](storage::Session& session) -> absl::Status {
    AIB_ASSIGN_OR_RETURN(stored, ReadGenerations(session, collection));
    return absl::OkStatus();
  }));
  Order order;
  order.id = order_id;
  order.may_lack_vectors = true;
  const bool is_done = !order_id.empty() && !stored.empty() && stored[0].order_id == order_id;
  for (size_t i = 1; i < stored.size() && order.embedder.empty(); ++i) {
    const GenerationInfo& former = stored[i].info;
    if (!is_done && generation != 0 && former.number != generation) continue;
    order.embedder = former.embedder;
    order.dimensions = static_cast<size_t>(former.dimensions);
  }
  if (order.embedder.empty()) {
    return MakeError(Reason::FIELD_INVALID, "is none of the collection's former generations",
                     "params.generation");
  }
  return Build(collection, std::move(order), progress);
}

absl::StatusOr<RebuildResult> IndexedStore::Build(const CollectionId& name, Order order,
                                                  Progress progress) {
  std::vector<Generation> stored;
  CollectionInfo info;
  AIB_RETURN_IF_ERROR(database_.Read([&](storage::Session& session) -> absl::Status {
    AIB_ASSIGN_OR_RETURN(stored, ReadGenerations(session, name));
    const auto read = ReadCollectionInfo(session, name);
    if (read.ok()) info = *read;
    return absl::OkStatus();
  }));
  if (!order.id.empty() && !stored.empty() && stored[0].order_id == order.id) {
    return RebuildResult{info.documents, info.chunks, stored[0].info.number,
                         stored[0].info.embedder};
  }
  AIB_RETURN_IF_ERROR(CheckEmbedder(order.embedder));
  order.outside = FindEmbedder(order.embedder);
  {
    absl::MutexLock lock(&writer_);
    order.generation = StateOf(name).generation + 1;
  }
  AIB_ASSIGN_OR_RETURN(Rebuilt rebuilt, BuildBeside(name, order, progress));
  AIB_RETURN_IF_ERROR(CatchUp(name, order, MayEmbed::kYes, rebuilt));
  SnapshotDraft draft = DraftSnapshot(name, *rebuilt.index);
  const uint64_t drafted_changes = rebuilt.index->changes();
  absl::StatusOr<RebuildResult> result;
  {
    absl::MutexLock lock(&writer_);
    AIB_RETURN_IF_ERROR(CatchUp(name, order, MayEmbed::kNo, rebuilt));
    result = SwapIn(name, order, rebuilt);
    if (result.ok()) KeepSnapshot(name, std::move(draft), drafted_changes);
  }
  if (!result.ok()) return result;
  // The swap is done, whatever becomes of these.
  ForgetUnusedVectors().IgnoreError();
  ReportIfOutgrown(name);
  return result;
}

absl::StatusOr<RebuildResult> IndexedStore::SwapIn(const CollectionId& name, const Order& order,
                                                   Rebuilt& rebuilt) {
  Collection& state = StateOf(name);
  Generation made = GenerationOf(*rebuilt.index);
  made.order_id = order.id;
  // Its documents may all have been deleted meanwhile.
  const bool is_empty = rebuilt.documents.empty();
  const bool is_fitted = made.info.number > 0 && !is_empty;
  // Too few chunks for a fit: that the embedder has changed is remembered all the same.
  const bool is_changed = order.embedder != state.embedder && !is_empty;
  made.info.number = order.generation;
  made.info.embedder = order.embedder;
  const auto store = [&](storage::Session& session) -> absl::Status {
    for (const auto& [seq, document] : rebuilt.documents) {
      AIB_RETURN_IF_ERROR(ReplaceChunks(session, *document));
    }
    if (!is_fitted && !is_changed) return absl::OkStatus();
    return WriteGeneration(session, name, made);
  };
  AIB_RETURN_IF_ERROR(database_.Write(store));
  state.documents.clear();
  for (const auto& [seq, document] : rebuilt.documents) state.documents[document->id] = document;
  if (is_fitted || is_changed) {
    state.generation = order.generation;
    state.embedder = order.embedder;
  }
  Publish(name, rebuilt.index);
  return RebuildResult{static_cast<int64_t>(rebuilt.documents.size()),
                       static_cast<int64_t>(rebuilt.index->chunks()),
                       is_fitted || is_changed ? order.generation : 0, state.embedder};
}

// Reads, cuts, embeds and indexes every document, then fits, while searches and changes go on.
absl::StatusOr<Rebuilt> IndexedStore::BuildBeside(const CollectionId& name, const Order& order,
                                                  Progress progress) {
  std::vector<int64_t> seqs;
  int64_t steps = 0;  // one for each document; with an embedder outside one for each chunk, too
  AIB_RETURN_IF_ERROR(database_.Read([&](storage::Session& session) -> absl::Status {
    AIB_ASSIGN_OR_RETURN(seqs, ReadSeqs(session, name));
    steps = static_cast<int64_t>(seqs.size());
    if (order.outside == nullptr || seqs.empty()) return absl::OkStatus();
    AIB_ASSIGN_OR_RETURN(const CollectionInfo info, ReadCollectionInfo(session, name));
    steps += info.chunks;
    return absl::OkStatus();
  }));
  const auto total = static_cast<int64_t>(seqs.size());
  AIB_RETURN_IF_ERROR(progress(0, steps, "cutting documents"));

  Rebuilt rebuilt;
  std::vector<DocumentPtr> documents;
  const int64_t end = seqs.empty() ? 0 : seqs.back();
  while (rebuilt.last_seq < end) {
    AIB_ASSIGN_OR_RETURN(std::vector<Document> batch,
                         ReadBatch(name, rebuilt.last_seq, kRebuildBatch));
    if (batch.empty()) break;
    std::vector<Change> changes;
    for (Document& document : batch) {
      rebuilt.last_seq = document.seq;
      document.chunks = CutIntoChunks(document.text);
      documents.push_back(std::make_shared<const Document>(std::move(document)));
      changes.push_back({0, documents.back()});
      rebuilt.documents[documents.back()->seq] = documents.back();
    }
    rebuilt.index->Apply(changes);
    const auto done = static_cast<int64_t>(rebuilt.documents.size());
    AIB_RETURN_IF_ERROR(progress(std::min(done, total), steps, "cutting documents"));
  }
  if (order.outside != nullptr) {
    // Cut anew there may be some more chunks, or fewer.
    const auto chunks = std::max<int64_t>(1, static_cast<int64_t>(rebuilt.index->chunks()));
    AIB_RETURN_IF_ERROR(EmbedChunks(documents, order, [&](int64_t done) {
      return progress(total + (steps - total) * std::min(done, chunks) / chunks, steps,
                      "embedding chunks");
    }));
  }
  AIB_RETURN_IF_ERROR(progress(steps, steps, "fitting the embedding"));
  AIB_RETURN_IF_ERROR(FitIndex(*rebuilt.index, order).status());
  AIB_RETURN_IF_ERROR(progress(steps, steps, "swapping the generation"));
  return rebuilt;
}

// Brings what was built beside up to what the database holds now. A seq's content never changes, so
// comparing which seqs there are finds everything.
absl::Status IndexedStore::CatchUp(const CollectionId& name, const Order& order, MayEmbed may_embed,
                                   Rebuilt& rebuilt) {
  std::vector<int64_t> seqs;
  std::vector<Document> later;
  AIB_RETURN_IF_ERROR(database_.Read([&](storage::Session& session) -> absl::Status {
    AIB_ASSIGN_OR_RETURN(seqs, ReadSeqs(session, name));
    AIB_ASSIGN_OR_RETURN(
        later, ReadDocuments(session, name, rebuilt.last_seq, std::numeric_limits<int64_t>::max()));
    return absl::OkStatus();
  }));
  std::vector<Change> changes;
  const absl::flat_hash_set<int64_t> present(seqs.begin(), seqs.end());
  for (auto it = rebuilt.documents.begin(); it != rebuilt.documents.end();) {
    const auto current = it++;
    if (present.contains(current->first)) continue;
    changes.push_back({current->first, nullptr});
    rebuilt.documents.erase(current);
  }
  std::vector<DocumentPtr> added;
  for (Document& document : later) {
    added.push_back(std::make_shared<const Document>(std::move(document)));
    rebuilt.documents[added.back()->seq] = added.back();
    rebuilt.last_seq = added.back()->seq;
  }
  if (order.outside != nullptr && may_embed == MayEmbed::kYes) {
    AIB_RETURN_IF_ERROR(EmbedChunks(added, order, [](int64_t) { return absl::OkStatus(); }));
  }
  for (const DocumentPtr& document : added) {
    changes.push_back({0, document});
    if (order.outside == nullptr) continue;
    AIB_ASSIGN_OR_RETURN(TextVectors vectors,
                         vectors_.Find(order.outside->key(), EmbeddedTexts(*document)));
    changes.back().vectors = std::make_shared<const ChunkVectors>(std::move(vectors));
  }
  rebuilt.index->Apply(changes);
  // All that was built on may have gone, and what came be the first that could be fitted on.
  if (rebuilt.index->fitted_chunks() == 0) return FitIndex(*rebuilt.index, order).status();
  return absl::OkStatus();
}

}  // namespace aibackend::retrieval
