// The ranking of a hybrid or a lexical search: score every leg, fuse, let the neighbours speak.
//
// A leg's score is divided by its greatest for the query (below 0 counts as 0); what a row has in
// all legs, weighted and summed, is divided by the greatest such sum: its fused score S. The best
// kRescoredChunks rows by S are then ranked by (1 - a) S + a sqrt(sum over neighbours of w S^2).
//
// The lexical legs are summed for the rows that hold a term of the query. The vector legs (dense
// and feedback) have a score for every row, but few rows need it: the int8 scan gives the greatest,
// exactly, and an upper bound u >= q.x for each row (int8_scan.h). With s = 1 / greatest,
//
//   S'(row)  = (L + wd N(q.x, sd)) + wf N(q'.x, sf)        L: the lexical legs' sum
//   U(row)   = (L + wd N(u, sd)) + wf N(u', sf)            N(x, s) = min(1, s max(0, x))
//
// Every operation in it (max, min, and in floating point a product with a number that is not
// negative, and a sum) is monotone: rounding never changes the order of two results. So
// S' <= U holds for the very bits, without a slack for rounding, as long as both are
// computed by the same operations in the same order; and likewise where S' is multiplied by 1 / its
// greatest, squared, and goes into the neighbours' root. UpperBounds::Best() takes it from there:
// only rows whose U reaches the last of the best are scored in full, by ScoreOf(). So are the
// neighbours of those rows whose rank may be in the answer. The ranking and every score are those
// of scoring all rows in full; a test compares them.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/retrieval/leg_set.h"
#include "server/retrieval/lexical_index.h"
#include "server/retrieval/neighbours.h"
#include "server/retrieval/query_gate.h"
#include "server/retrieval/retriever.h"
#include "server/retrieval/upper_bounds.h"
#include "server/retrieval/vector_index.h"

namespace aibackend::retrieval {

// How many chunks the neighbours re-score. The more never reach an answer of usual size.
constexpr size_t kRescoredChunks = 300;

// What a search reads. All is borrowed.
struct SearchView {
  size_t slots = 0;
  const LexicalIndex* lexical = nullptr;
  // Other slots score 0 in every leg, before the legs are normalised, and are nobody's neighbours.
  const RowSet* allowed = nullptr;
  // What is fitted: all or nothing of it is null. `vectors` has a row for each slot.
  const VectorIndex* vectors = nullptr;
  QueryGate* gate = nullptr;  // to vectors->Search()
  const TermField* expanded = nullptr;
  const NeighbourGraph* graph = nullptr;
};

struct RankedSlot {
  Slot slot = 0;
  double score = 0;  // == (1 - neighbour_share) * fused + neighbour_share * neighbours
  double fused = 0;
  double neighbours = 0;
  double neighbour_share = 0;
};

// The memory that a search works in: 21 bytes a slot, kept for the next one.
struct SearchScratch {
  RowScores words;  // kept for the feedback leg
  RowScores leg;
  RowScores lexical;  // the lexical legs' sum
  std::vector<float> dense;
  std::vector<float> feedback;
  UpperBounds bounds;
  RowSet exact;  // the rows whose bound is their score
};

// As many scratches as searches ever ran side by side. Thread-safe.
class ScratchPool {
 public:
  std::unique_ptr<SearchScratch> Take();
  void Give(std::unique_ptr<SearchScratch> scratch);

 private:
  absl::Mutex mutex_;
  std::vector<std::unique_ptr<SearchScratch>> free_ ABSL_GUARDED_BY(mutex_);
};

// One search. What it is given outlives it. Not thread-safe.
class HybridSearch {
 public:
  HybridSearch(const SearchView& view, LegSet legs, ScratchPool& pool);
  ~HybridSearch();

  // The best `top_k`, best first, ties to the lower slot; called once. `vector` is the unit vector
  // of the query; null: it has none, or nothing is fitted. `query` must outlive the search.
  std::vector<RankedSlot> Rank(const TextBags& query, const float* vector, size_t top_k);

  // How the legs of that query score a slot. Legs that took no part are left out.
  std::vector<Explanation::Leg> LegsOf(Slot slot) const;

 private:
  struct UsedLeg {
    Leg leg = Leg::kWords;
    float weight = 0;
    float scale = 0;                   // 1 / its greatest score
    const TermField* field = nullptr;  // of a lexical leg,
    const Bag* terms = nullptr;
    std::vector<float> vector;  // or of a vector leg
  };

  void ScoreLexicalLegs(const TextBags& query);
  void ScoreLexical(Leg leg, float weight, const TermField& field, const Bag& terms,
                    RowScores& scores);
  void ScoreVectorLegs(const float* vector);
  void ScoreVector(Leg leg, float weight, std::vector<float> vector, float* uppers);
  bool AddFeedback(float* vector);
  void BoundFused();
  float Fused(size_t row);
  std::vector<RankedSlot> LetNeighboursSpeak(const std::vector<ScoredRow>& pool, double share,
                                             size_t top_k);
  double ShareOfNeighbours(const TextBags& query) const;

  const SearchView view_;
  const LegSet legs_;
  ScratchPool& pool_;
  std::unique_ptr<SearchScratch> scratch_;
  std::vector<UsedLeg> used_;
  // Of used_; null where the leg takes no part.
  const UsedLeg* words_ = nullptr;
  const UsedLeg* dense_ = nullptr;
  const UsedLeg* feedback_ = nullptr;
};

}  // namespace aibackend::retrieval
