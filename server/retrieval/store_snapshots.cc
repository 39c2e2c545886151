// The snapshots of a store: when they are written, and what a start makes of them.
#include <algorithm>
#include <utility>

#include "server/retrieval/indexed_store.h"
#include "server/telemetry/log.h"

namespace aibackend::retrieval {
namespace {

using telemetry::Event;
using telemetry::Log;

SnapshotHead HeadOf(const CollectionId& name, const Generation& generation) {
  SnapshotHead head;
  head.id = name;
  head.generation = generation.info.number;
  head.embedder = generation.info.embedder;
  head.dimensions = static_cast<size_t>(generation.info.dimensions);
  head.fitted_chunks = generation.fitted_chunks;
  return head;
}

void LogIgnored(const CollectionId& name, absl::string_view problem) {
  Log(Event::kSnapshotIgnored,
      {{"collection", name.name}, {"tenant", name.tenant}, {"problem", problem}});
}

void LogFailure(const CollectionId& name, const absl::Status& error) {
  Log(Event::kSnapshotFailed,
      {{"collection", name.name}, {"tenant", name.tenant}, {"error", error.ToString()}});
}

}  // namespace

void IndexedStore::PrepareSnapshots(const std::vector<CollectionId>& collections) const {
  if (!snapshots_.is_kept()) return;
  const absl::Status prepared = snapshots_.Prepare(collections);
  if (!prepared.ok()) Log(Event::kSnapshotFailed, {{"error", prepared.ToString()}});
}

bool IndexedStore::LoadSnapshot(const CollectionId& name, const Generation& stored) {
  if (!snapshots_.is_kept() || stored.info.number == 0) return false;
  SnapshotHead expected = HeadOf(name, stored);
  if (stored.info.embedder != kFittedEmbedder) {
    const WatchedEmbedder* embedder = FindEmbedder(stored.info.embedder);
    if (embedder == nullptr) return false;
    expected.embedder_key = embedder->key();
  }
  Collection& state = StateOf(name);
  absl::flat_hash_map<int64_t, DocumentPtr> documents;  // by seq
  for (const auto& [id, document] : state.documents) documents[document->seq] = document;
  const auto find = [&](int64_t seq) {
    const auto found = documents.find(seq);
    return found == documents.end() ? nullptr : found->second;
  };
  const auto read = snapshots_.Read(expected, find);
  if (!read.ok()) {
    if (!absl::IsNotFound(read.status())) LogIgnored(name, read.status().message());
    return false;
  }
  const std::shared_ptr<CollectionIndex>& index = *read;
  std::vector<Change> changes;
  size_t chunks_added = 0;
  for (const auto& [seq, document] : documents) {
    if (index->Holds(seq)) continue;
    changes.push_back({0, document});
    if (!expected.embedder_key.empty()) {
      auto vectors = vectors_.Find(expected.embedder_key, EmbeddedTexts(*document));
      if (!vectors.ok()) return false;
      changes.back().vectors = std::make_shared<const ChunkVectors>(*std::move(vectors));
    }
    chunks_added += document->chunks.size();
  }
  // An index most of which came or went since its fit is worth a fit.
  const size_t chunks = index->chunks() + chunks_added;
  if (index->slots() - index->chunks() + chunks_added > chunks / 2) {
    LogIgnored(name, "most of the collection came or went since the fit");
    return false;
  }
  std::sort(changes.begin(), changes.end(),
            [](const Change& a, const Change& b) { return a.added->seq < b.added->seq; });
  if (!changes.empty()) index->Apply(changes);
  state.saved_changes = 0;  // a loaded index counts what it lost and what was added
  Publish(name, index);
  return true;
}

SnapshotDraft IndexedStore::DraftSnapshot(const CollectionId& name,
                                          const CollectionIndex& index) const {
  if (!snapshots_.is_kept() || index.fitted_chunks() == 0) return {};
  SnapshotHead head = HeadOf(name, GenerationOf(index));
  if (const auto outside = index.outside()) head.embedder_key = outside->key;
  auto draft = snapshots_.Write(head, index);
  if (draft.ok()) return *std::move(draft);
  LogFailure(name, draft.status());
  return {};
}

// Where none could be drafted the one before stays: it is of an older generation, or misses less
// than a fit costs.
void IndexedStore::KeepSnapshot(const CollectionId& name, SnapshotDraft draft, uint64_t changes) {
  if (!snapshots_.is_kept()) return;
  Collection& state = StateOf(name);
  state.saved_changes = Collection::kNeverSaved;
  if (state.index->fitted_chunks() == 0 || state.documents.empty()) return snapshots_.Remove(name);
  if (draft.is_empty()) return;
  const absl::Status kept = draft.Commit();
  if (!kept.ok()) return LogFailure(name, kept);
  state.saved_changes = changes;
  Log(Event::kSnapshotSaved,
      {{"collection", name.name}, {"tenant", name.tenant}, {"bytes", draft.bytes()}});
}

void IndexedStore::SaveSnapshot(const CollectionId& name) {
  const CollectionIndex& index = *StateOf(name).index;
  KeepSnapshot(name, DraftSnapshot(name, index), index.changes());
}

void IndexedStore::SaveSnapshots() {
  absl::MutexLock lock(&writer_);
  std::vector<CollectionId> changed;
  for (const auto& [name, state] : collections_) {
    const bool has_changed = state.index->changes() != state.saved_changes;
    if (has_changed && state.index->fitted_chunks() > 0) changed.push_back(name);
  }
  for (const CollectionId& name : changed) SaveSnapshot(name);
}

}  // namespace aibackend::retrieval
