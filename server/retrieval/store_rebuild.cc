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
                                                                   const StoreOptions& options) {
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
  Collection& state = collections_[name];
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
  // The fit repeats, so what was fitted on as many chunks is that generation again. Else texts have
  // come or gone since, and this is a new one.
  const bool repeats =
      stored.info.number > 0 && stored.fitted_chunks == static_cast<int64_t>(chunks);
  const bool is_from_snapshot = LoadSnapshot(name, stored);
  if (!is_from_snapshot) FitAll(name, repeats ? stored.info.number : stored.info.number + 1);
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

// A fresh index of the documents in memory, fitted if there are enough.
void IndexedStore::FitAll(const CollectionId& name, int generation) {
  Collection& state = collections_[name];
  std::vector<Change> changes;
  for (const auto& [id, document] : state.documents) changes.push_back({0, document});
  SortBySeq(changes);
  auto index = std::make_shared<CollectionIndex>();
  index->Apply(changes);
  if (index->Fit(generation) && generation != state.generation) {
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
  return {{index.generation(), kFittedEmbedder, static_cast<int>(index.dimensions()), clock_.Now()},
          static_cast<int64_t>(index.fitted_chunks())};
}

absl::StatusOr<RebuildResult> IndexedStore::Rebuild(const CollectionId& collection,
                                                    Progress progress) {
  AIB_RETURN_IF_ERROR(ValidateCollection(collection.name));
  absl::MutexLock one_at_a_time(&rebuilding_);
  int generation = 0;
  {
    absl::MutexLock lock(&writer_);
    generation = collections_[collection].generation + 1;
  }
  AIB_ASSIGN_OR_RETURN(Rebuilt rebuilt, BuildBeside(collection, generation, progress));

  SnapshotDraft draft = DraftSnapshot(collection, *rebuilt.index);
  const uint64_t drafted_changes = rebuilt.index->changes();

  absl::MutexLock lock(&writer_);
  AIB_RETURN_IF_ERROR(CatchUp(collection, rebuilt));
  const bool is_fitted = rebuilt.index->fitted_chunks() > 0;
  const auto store = [&](storage::Session& session) -> absl::Status {
    for (const auto& [seq, document] : rebuilt.documents) {
      AIB_RETURN_IF_ERROR(ReplaceChunks(session, *document));
    }
    if (!is_fitted) return absl::OkStatus();
    return WriteGeneration(session, collection, GenerationOf(*rebuilt.index));
  };
  AIB_RETURN_IF_ERROR(database_.Write(store));
  Collection& state = collections_[collection];
  state.documents.clear();
  for (const auto& [seq, document] : rebuilt.documents) state.documents[document->id] = document;
  if (is_fitted) state.generation = generation;
  Publish(collection, rebuilt.index);
  KeepSnapshot(collection, std::move(draft), drafted_changes);
  return RebuildResult{static_cast<int64_t>(rebuilt.documents.size()),
                       static_cast<int64_t>(rebuilt.index->chunks()), is_fitted ? generation : 0};
}

// Reads, cuts and indexes every document, then fits, while searches and changes go on.
absl::StatusOr<Rebuilt> IndexedStore::BuildBeside(const CollectionId& name, int generation,
                                                  Progress progress) {
  std::vector<int64_t> seqs;
  AIB_RETURN_IF_ERROR(database_.Read([&](storage::Session& session) -> absl::Status {
    AIB_ASSIGN_OR_RETURN(seqs, ReadSeqs(session, name));
    return absl::OkStatus();
  }));
  const auto total = static_cast<int64_t>(seqs.size());
  AIB_RETURN_IF_ERROR(progress(0, total, "cutting documents"));

  Rebuilt rebuilt;
  const int64_t end = seqs.empty() ? 0 : seqs.back();
  while (rebuilt.last_seq < end) {
    AIB_ASSIGN_OR_RETURN(std::vector<Document> batch,
                         ReadBatch(name, rebuilt.last_seq, kRebuildBatch));
    if (batch.empty()) break;
    std::vector<Change> changes;
    for (Document& document : batch) {
      rebuilt.last_seq = document.seq;
      document.chunks = CutIntoChunks(document.text);
      changes.push_back({0, std::make_shared<const Document>(std::move(document))});
      rebuilt.documents[changes.back().added->seq] = changes.back().added;
    }
    rebuilt.index->Apply(changes);
    const auto done = static_cast<int64_t>(rebuilt.documents.size());
    AIB_RETURN_IF_ERROR(progress(std::min(done, total), total, "cutting documents"));
  }
  AIB_RETURN_IF_ERROR(progress(total, total, "fitting the embedding"));
  rebuilt.index->Fit(generation);
  AIB_RETURN_IF_ERROR(progress(total, total, "swapping the generation"));
  return rebuilt;
}

// Brings what was built beside up to what the database holds now. A seq's content never changes, so
// comparing which seqs there are finds everything.
absl::Status IndexedStore::CatchUp(const CollectionId& name, Rebuilt& rebuilt) {
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
  for (Document& document : later) {
    const auto added = std::make_shared<const Document>(std::move(document));
    rebuilt.documents[added->seq] = added;
    changes.push_back({0, added});
  }
  rebuilt.index->Apply(changes);
  return absl::OkStatus();
}

}  // namespace aibackend::retrieval
