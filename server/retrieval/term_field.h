// One lexical leg: an inverted index over one kind of term, scored by BM25.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "server/retrieval/analyzer.h"
#include "server/retrieval/index_snapshot.h"
#include "server/retrieval/row_scores.h"
#include "server/retrieval/row_set.h"

namespace aibackend::retrieval {

// A chunk's place in an index: counted up as chunks are added, never given twice.
using Slot = uint32_t;

constexpr double kBm25K1 = 1.2;
constexpr double kBm25B = 0.75;

// Which slots a saved index holds.
struct SavedSlots {
  size_t slots = 0;
  RowSet held;      // with a chunk
  RowSet kept;      // of those, the ones whose chunk is still the database's
  size_t lost = 0;  // held, but not kept
};

// The statistics (how many chunks hold a term, the mean length) are exact at every moment: a
// removed chunk leaves no trace. Not thread-safe.
class TermField {
 public:
  // `slot` is greater than any added before; `bag` may be empty.
  void Add(Slot slot, const Bag& bag);
  // `bag` is what was added at `slot`.
  void Remove(Slot slot, const Bag& bag);

  // Adds the BM25 score of each chunk for `query` to `scores`, which has room for them. With N
  // chunks, df of them holding term t, and tf its count in a chunk of length l (Robertson &
  // Zaragoza, "The Probabilistic Relevance Framework", 2009):
  //   sum over query terms of qtf * idf(t) * tf (k1 + 1) / (tf + k1 (1 - b + b l / mean l)).
  void Score(const Bag& query, RowScores& scores) const;
  // What Score() adds to the score of a chunk: the same bits.
  float ScoreOne(const Bag& query, Slot slot) const;

  // ln(1 + (N - df + .5) / (df + .5)); the greatest value for a term that isn't there. N counts as
  // at least `chunks_min`.
  double Idf(Term term, size_t chunks_min = 0) const;
  // k1 (1 - b + b l / mean l) of a chunk.
  double LengthNorm(Slot slot) const;

  size_t DocumentFrequency(Term term) const;
  // How often `term` is in a chunk.
  float Count(Term term, Slot slot) const;
  // Whether `bag` is what was added at `slot`.
  bool Holds(Slot slot, const Bag& bag) const;

  // A section of a snapshot.
  void Save(SnapshotSection section, size_t slots, SnapshotWriter& writer) const;
  // Into an empty field; what is not kept is left out. After a failure of `reader` the field is of
  // no use.
  void Load(SnapshotSection section, const SavedSlots& saved, SnapshotReader& reader);

  size_t chunks() const { return chunks_; }
  size_t terms() const { return postings_.size(); }
  double total_length() const { return total_length_; }

 private:
  // What a query term counts, and the length norm, in the precision that scores have.
  struct Norm {
    float base = 0;
    float slope = 0;
  };
  Norm CurrentNorm() const;
  float Weight(const TermCount& t) const;

  struct Posting {
    Slot slot = 0;
    float count = 0;
  };
  struct IsBefore {
    bool operator()(const Posting& p, Slot slot) const { return p.slot < slot; }
  };
  // Most terms are in one or two chunks; those need no memory of their own.
  using Postings = absl::InlinedVector<Posting, 2>;

  absl::flat_hash_map<Term, Postings> postings_;  // each ascending by slot, none empty
  std::vector<float> lengths_;                    // by slot
  double total_length_ = 0;
  size_t chunks_ = 0;
};

}  // namespace aibackend::retrieval
