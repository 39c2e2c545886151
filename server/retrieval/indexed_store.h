// DocumentStore over the database's tables and an in-memory index for each collection.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/optional.h"
#include "server/retrieval/collection_index.h"
#include "server/retrieval/document_store.h"
#include "server/retrieval/document_tables.h"
#include "server/retrieval/embedding_cache.h"
#include "server/retrieval/query_vectors.h"
#include "server/retrieval/snapshot_folder.h"
#include "server/retrieval/watched_embedder.h"

namespace aibackend::retrieval {

// A collection as writers see it.
struct Collection {
  std::shared_ptr<CollectionIndex> index = std::make_shared<CollectionIndex>();
  absl::flat_hash_map<std::string, DocumentPtr> documents;  // by id
  int generation = 0;                                       // the last one; 0: never fitted
  std::string embedder = kFittedEmbedder;                   // of that one, and of the next
  bool has_reported_outgrown = false;
  // WatchedEmbedder::failures() when missing vectors were reported; absent: not of this index.
  absl::optional<uint64_t> failures_at_report;
  // The index's changes() when its snapshot was written.
  uint64_t saved_changes = kNeverSaved;
  static constexpr uint64_t kNeverSaved = std::numeric_limits<uint64_t>::max();
};

// What an Add does to one id.
struct Plan {
  DocumentPtr before;               // null: new
  std::shared_ptr<Document> after;  // null: stays as it is
};

// What an embedder made of documents that are about to be added.
struct EmbeddedDocuments {
  std::string key;  // the embedder's; empty: there is none
  absl::flat_hash_map<const Document*, std::shared_ptr<const ChunkVectors>> vectors;
};

// What the next generation is made with.
struct Order {
  int generation = 0;
  std::string embedder;                // its name
  WatchedEmbedder* outside = nullptr;  // null: fitted
  bool may_lack_vectors = false;
  size_t dimensions = 0;  // where no vector is kept; 0: not known
  std::string id;
};

// A generation that is made beside the one that serves.
struct Rebuilt {
  std::shared_ptr<CollectionIndex> index = std::make_shared<CollectionIndex>();
  absl::flat_hash_map<int64_t, DocumentPtr> documents;  // by seq
  int64_t last_seq = 0;                                 // read so far
};

// Every change goes to the database first, then to the index of the collection; at the start every
// index is brought up to the database, or made again from it.
class IndexedStore final : public DocumentStore {
 public:
  IndexedStore(storage::Database& database, Clock& clock, const StoreOptions& options);

  absl::Status Load();

  absl::StatusOr<RetrieveResult> Retrieve(const RetrieveQuery& query) const override;
  absl::optional<uint64_t> Revision(const CollectionId& collection) const override;
  std::vector<WeightedTerm> Analyze(absl::string_view text,
                                    const CollectionId& collection) const override;
  absl::StatusOr<std::vector<AddedDocument>> Add(const CollectionId& collection,
                                                 std::vector<StoredDocument> documents) override;
  absl::StatusOr<StoredDocument> Get(const CollectionId& collection,
                                     const std::string& id) override;
  absl::Status Delete(const CollectionId& collection, const std::string& id) override;
  absl::StatusOr<DocumentPage> List(const CollectionId& collection, int page_size,
                                    const std::string& page_token) override;
  absl::StatusOr<CollectionPage> ListCollections(const std::string& tenant, int page_size,
                                                 const std::string& page_token) override;
  absl::StatusOr<CollectionInfo> GetCollection(const CollectionId& collection) override;
  absl::StatusOr<int64_t> DeleteCollection(const CollectionId& collection) override;
  absl::Status CheckEmbedder(const std::string& name) const override;
  absl::StatusOr<RebuildResult> Rebuild(const CollectionId& collection,
                                        const RebuildRequest& request, Progress progress) override;
  absl::StatusOr<RebuildResult> Rollback(const CollectionId& collection, int generation,
                                         const std::string& order_id, Progress progress) override;
  void SaveSnapshots() override;
  void OnOutgrown(std::function<void(const CollectionId& collection)> callback) override;

 private:
  std::shared_ptr<const CollectionIndex> FindIndex(const CollectionId& collection) const;
  void FillUnembedded(CollectionInfo& info) const;
  // When the index has changed: who reads the new revision before a search finds the change.
  void Publish(const CollectionId& collection, std::shared_ptr<CollectionIndex> index)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(writer_);
  void Revise(const CollectionId& collection) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  std::vector<AddedDocument> MakePlan(const Collection& state,
                                      std::vector<std::shared_ptr<Document>> documents,
                                      std::map<std::string, Plan>& plan) const;
  void ApplyPlan(const CollectionId& name, std::map<std::string, Plan> plan,
                 const EmbeddedDocuments& embedded) ABSL_EXCLUSIVE_LOCKS_REQUIRED(writer_);
  bool FitsInline(const Collection& state, size_t chunks, bool has_vectors) const;
  Generation GenerationOf(const CollectionIndex& index) const;
  void FitAll(const CollectionId& name, int generation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(writer_);
  absl::Status DeleteStored(const CollectionId& collection, const std::string& id)
      ABSL_LOCKS_EXCLUDED(writer_);
  bool ShouldReport(Collection& state) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(writer_);
  void ReportIfOutgrown(const CollectionId& name) ABSL_LOCKS_EXCLUDED(writer_);

  // Embedding (store_embedding.cc). Null: not configured.
  WatchedEmbedder* FindEmbedder(const std::string& name) const;
  Collection& StateOf(const CollectionId& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(writer_);
  QueryVectors::Vector VectorOfQuery(const CollectionIndex& index, const RetrieveQuery& query,
                                     absl::string_view text, bool& is_degraded) const;
  void ReportIfEmbedderIsBack(const CollectionId& name) const ABSL_LOCKS_EXCLUDED(writer_);
  EmbeddedDocuments EmbedForAdd(const CollectionId& name,
                                const std::vector<std::shared_ptr<Document>>& documents)
      ABSL_LOCKS_EXCLUDED(writer_);
  absl::StatusOr<bool> FitIndex(CollectionIndex& index, const Order& order);
  absl::Status EmbedChunks(const std::vector<DocumentPtr>& documents, const Order& order,
                           absl::FunctionRef<absl::Status(int64_t done)> progress);
  absl::Status ForgetUnusedVectors() ABSL_LOCKS_EXCLUDED(writer_);

  absl::Status LoadCollection(const CollectionId& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(writer_);
  absl::StatusOr<std::vector<Document>> ReadBatch(const CollectionId& name, int64_t after_seq,
                                                  int64_t limit);
  absl::StatusOr<RebuildResult> Build(const CollectionId& name, Order order, Progress progress)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(rebuilding_) ABSL_LOCKS_EXCLUDED(writer_);
  absl::StatusOr<RebuildResult> SwapIn(const CollectionId& name, const Order& order,
                                       Rebuilt& rebuilt) ABSL_EXCLUSIVE_LOCKS_REQUIRED(writer_);
  absl::StatusOr<Rebuilt> BuildBeside(const CollectionId& name, const Order& order,
                                      Progress progress);
  // Once while others write, and once more while they can't.
  enum class MayEmbed { kYes, kNo };
  absl::Status CatchUp(const CollectionId& name, const Order& order, MayEmbed may_embed,
                       Rebuilt& rebuilt);

  void PrepareSnapshots(const std::vector<CollectionId>& collections) const;
  // True where the index of the collection's documents could be made from its snapshot.
  bool LoadSnapshot(const CollectionId& name, const Generation& stored)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(writer_);
  void SaveSnapshot(const CollectionId& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(writer_);
  // Of an index that nobody changes meanwhile; empty where none is kept.
  SnapshotDraft DraftSnapshot(const CollectionId& name, const CollectionIndex& index) const;
  // Puts in place what was drafted when the collection's index had seen `changes`.
  void KeepSnapshot(const CollectionId& name, SnapshotDraft draft, uint64_t changes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(writer_);

  storage::Database& database_;
  Clock& clock_;
  const StoreOptions options_;
  std::vector<std::unique_ptr<WatchedEmbedder>> embedders_;
  EmbeddingCache vectors_;
  mutable QueryVectors query_vectors_;
  const SnapshotFolder snapshots_;

  absl::Mutex rebuilding_ ABSL_ACQUIRED_BEFORE(writer_);  // one rebuild at a time: memory

  // Held by whoever changes documents, over the transaction and the index.
  mutable absl::Mutex writer_ ABSL_ACQUIRED_BEFORE(mutex_);
  mutable absl::flat_hash_map<CollectionId, Collection> collections_ ABSL_GUARDED_BY(writer_);
  std::function<void(const CollectionId&)> on_outgrown_ ABSL_GUARDED_BY(writer_);

  // Held for a look: what searches use.
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<CollectionId, std::shared_ptr<const CollectionIndex>> indexes_
      ABSL_GUARDED_BY(mutex_);
  // Of the collections that changed since the start, each from one counter, so that one that is
  // deleted and made anew has none of its old ones. They stay: they are small.
  absl::flat_hash_map<CollectionId, uint64_t> revisions_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_revision_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace aibackend::retrieval
