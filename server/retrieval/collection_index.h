// The index of one collection, of one generation: the lexical legs, and what is fitted on the
// chunks (an embedding, the neighbours).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "server/retrieval/document.h"
#include "server/retrieval/fitted_space.h"
#include "server/retrieval/hybrid_search.h"
#include "server/retrieval/index_snapshot.h"
#include "server/retrieval/leg_set.h"
#include "server/retrieval/lexical_index.h"
#include "server/retrieval/metadata_index.h"
#include "server/retrieval/neighbours.h"
#include "server/retrieval/query_gate.h"
#include "server/retrieval/retriever.h"
#include "server/retrieval/row_set.h"
#include "server/retrieval/vector_index.h"

namespace aibackend::retrieval {

// Of an embedder outside, by ordinal of the chunk; empty: there is none. Of length 1.
using ChunkVectors = std::vector<std::vector<float>>;

// What replaces what: either side may be absent.
struct Change {
  int64_t removed_seq = 0;  // 0: none
  DocumentPtr added;
  // Of `added`, where an embedder outside made the index's vectors. Null: its chunks have none.
  std::shared_ptr<const ChunkVectors> vectors = nullptr;
};

// Vectors that are made outside of the index.
struct OutsideSpace {
  std::string embedder;  // see TextEmbedder
  std::string key;
  size_t dimensions = 0;
};

struct SearchQuery {
  absl::string_view text;
  size_t top_k = 5;
  Mode mode = Mode::kHybrid;
  const MetadataFilter* filter = nullptr;  // borrowed; null: every document fits
  LegSet legs;
  bool explain = false;
  // The text's, of length 1; borrowed. Used where an embedder outside made the index's vectors: if
  // it is null then, or of another size, the word legs serve alone.
  const std::vector<float>* vector = nullptr;
};

struct Hit {
  DocumentPtr document;
  size_t ordinal = 0;  // of the chunk
  double score = 0;    // 0 to 1
  absl::optional<Explanation> explanation;
};

struct SearchResult {
  std::vector<Hit> hits;  // best first; ties in the order of adding
  Mode mode = Mode::kLexical;
  int generation = 0;
  double confidence = 0;
};

// Thread-safe: searches run side by side, and between the short steps of Apply(). One thread at a
// time may call Apply(). A new generation is a new CollectionIndex: this one never loses what it
// serves with.
class CollectionIndex {
 public:
  // Adds, removes and replaces documents. When it returns, all is in effect; a document of not more
  // than kStepChunks chunks changes at once. Texts that come after the fit are embedded in the
  // fitted space; they have no neighbours.
  void Apply(const std::vector<Change>& changes);

  // Fits the embedding and the neighbours on what was added, as generation `generation`. Called at
  // most once, and before the index is shared with other threads: it takes seconds. Does nothing
  // for fewer than kFitChunksMin chunks. Returns whether it did.
  bool Fit(int generation);

  // The same with vectors from outside, for any number of chunks but none. `vectors_of` is asked
  // for a few chunks at a time; an empty vector, or one of another size, is none. Chunks without
  // one are left to the word legs.
  struct ChunkRef {
    const Document* document = nullptr;
    size_t ordinal = 0;
  };
  using VectorsOf =
      absl::FunctionRef<absl::StatusOr<ChunkVectors>(const std::vector<ChunkRef>& chunks)>;
  absl::Status FitOutside(int generation, OutsideSpace space, VectorsOf vectors_of);

  // Of the vectors; absent where the index made them itself, or has none.
  absl::optional<OutsideSpace> outside() const;

  // Writes what was fitted, and all besides that isn't in the documents themselves; searches go on
  // meanwhile. For the thread that may call Apply(). Of an index that isn't fitted nothing is
  // written.
  void Save(SnapshotWriter& writer) const;

  // Makes of a fresh index what Save() wrote, less the documents that `find` doesn't know (it gives
  // the database's by seq, or null) or knows with other text or other chunks. Before the index is
  // shared. After a failure of `reader` the index is of no use.
  void Load(const SnapshotHead& head, absl::FunctionRef<DocumentPtr(int64_t seq)> find,
            SnapshotReader& reader);

  // A filter decides before any score: what doesn't fit it scores 0 in every leg, gives no feedback
  // and speaks for no neighbour. How rare a term is and how long a chunk usually is stay those of
  // the whole collection, as does what is known of the query. Errors: FILTER_FIELD_UNKNOWN.
  absl::StatusOr<SearchResult> Search(const SearchQuery& query) const;
  std::vector<Retriever::WeightedTerm> Analyze(absl::string_view text) const;

  size_t chunks() const;
  size_t documents() const;
  // What was fitted on; 0 where nothing was.
  size_t fitted_chunks() const;
  int generation() const;
  size_t dimensions() const;
  // Chunks without a vector.
  size_t unembedded_chunks() const;
  // Chunks that were ever added: those removed take room until the next generation.
  size_t slots() const;
  bool Holds(int64_t seq) const;
  // Grows with every document that comes or goes.
  uint64_t changes() const;

  // How many chunks are added or removed in one step, during which searches wait: a hundred
  // microseconds each. Small documents don't share a step, so that few searches notice it
  // (retrieval_bench, BM_SearchWhileAdding).
  static constexpr size_t kStepChunks = 64;

 private:
  struct Chunk {
    DocumentPtr document;  // null: removed
    size_t ordinal = 0;
    Bag words;  // what the embedding is fitted on; empty in an index that was loaded
    bool has_vector = false;
  };
  struct SlotRange {
    Slot first = 0;
    size_t count = 0;
  };
  struct PreparedChunk;
  struct Removal;
  struct Ranking;

  // What fitting makes. Grows with later chunks.
  struct Fitted {
    std::shared_ptr<const FittedSpace> space;  // null: `outside` is what made the vectors
    OutsideSpace outside;
    VectorIndex vectors;
    QueryGate gate;  // to vectors.Search(): a lane a core
    NeighbourGraph graph;
    TermField expanded;  // BM25 over a chunk's terms and its neighbours'
    size_t chunks = 0;
    int generation = 0;
    explicit Fitted(std::shared_ptr<const FittedSpace> s);
    explicit Fitted(OutsideSpace o);
    void AddRow(const std::vector<float>& vector);  // empty: zeros
  };

  std::vector<PreparedChunk> Prepare(const Change& change) const;
  SlotRange SlotsOf(int64_t seq) const;
  std::vector<Removal> PrepareRemoval(SlotRange range) const;
  void ApplyStep(const std::vector<Removal>& removed, std::vector<PreparedChunk> added);
  void AddChunk(PreparedChunk chunk) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RemoveChunk(const Removal& removal) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FinishFit(int generation, const std::vector<const Bag*>& texts,
                 std::unique_ptr<Fitted> fitted) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Where what isn't in the lexical legs learns of a chunk.
  void Place(Slot slot, Chunk chunk, const MetadataFields& metadata)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  SavedSlots LoadSlots(absl::FunctionRef<DocumentPtr(int64_t seq)> find, SnapshotReader& reader)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsAnalyzedAlike() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void FitExpanded(Fitted& fitted) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Writes what the dense leg looks for; false where there is nothing.
  bool QueryVector(const Bag& words, const SearchQuery& query, float* vector) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  Mode ServedMode(const SearchQuery& query) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  // The best `count` of the allowed slots. `allowed` is borrowed for as long as the ranking.
  Ranking RankFused(const SearchQuery& query, const TextBags& terms, const RowSet& allowed,
                    size_t count) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  // By the dense leg alone, which needs its best rows only.
  Ranking RankDense(const SearchQuery& query, const TextBags& terms, const RowSet& allowed,
                    size_t count) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  std::vector<Explanation::Term> TermsOf(const SearchQuery& query, const TextBags& terms,
                                         Slot slot) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  mutable ScratchPool scratches_;

  mutable absl::Mutex mutex_;
  LexicalIndex lexical_ ABSL_GUARDED_BY(mutex_);
  MetadataIndex metadata_ ABSL_GUARDED_BY(mutex_);
  std::vector<Chunk> chunks_ ABSL_GUARDED_BY(mutex_);  // by slot
  std::vector<Slot> removed_ ABSL_GUARDED_BY(mutex_);
  RowSet present_ ABSL_GUARDED_BY(mutex_);       // the slots that are not removed
  size_t embedded_ ABSL_GUARDED_BY(mutex_) = 0;  // chunks that have a vector from outside
  absl::flat_hash_map<int64_t, SlotRange> slots_of_ ABSL_GUARDED_BY(mutex_);
  uint64_t changes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::unique_ptr<Fitted> fitted_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace aibackend::retrieval
