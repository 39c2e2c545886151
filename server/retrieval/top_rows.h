// The question and the answer of a vector search, and the one definition of a row's score.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "server/retrieval/row_set.h"

namespace aibackend::retrieval {

struct VectorQuery {
  const float* vector = nullptr;    // as many numbers as the index has dimensions; borrowed
  size_t k = 0;                     // of 0 there is no answer, and nothing is written to `uppers`
  const RowSet* allowed = nullptr;  // borrowed; null: every row
  // Borrowed, with room for whole blocks of 64 rows; null: not asked for. Receives for each row an
  // upper bound of its score, that of an int8 scan: about a hundredth above it. Not a number where
  // the row is in no answer; where no row of a block is allowed the block is left as it is.
  float* uppers = nullptr;
};

struct ScoredRow {
  uint32_t row = 0;
  float score = 0;
};

inline bool operator==(const ScoredRow& a, const ScoredRow& b) {
  return a.row == b.row && a.score == b.score;
}

// The order of every answer: the higher score first, then the lower row.
inline bool IsBetterRow(const ScoredRow& a, const ScoredRow& b) {
  return a.score != b.score ? a.score > b.score : a.row < b.row;
}

struct TopRows {
  std::vector<ScoredRow> rows;  // best first
  size_t rescored = 0;          // how many rows were scored in full to know it
};

// The score of a row: the inner product summed in double precision in one fixed order (eight
// interleaved sums, then those pairwise), rounded to float once, at the end. The product of two
// floats is exact in double precision, so a fused multiply-add changes nothing, and no sum of up to
// 65,536 products overflows: the same vectors give the same bits on every machine and path. With
// d dimensions the sum in double precision is within d * 2^-53 * |a| * |b| of the true product.
float ScoreOf(const float* a, const float* b, size_t dimensions);

// Keeps the best k of the rows it is offered, in any order. A row is offered once.
class BestRows {
 public:
  explicit BestRows(size_t k) : k_(k) {}

  void Offer(ScoredRow row);
  // What a row's score must reach to come in: -infinity until there are k.
  float Floor() const;
  std::vector<ScoredRow> Take();  // best first; leaves it empty

 private:
  size_t k_;
  std::vector<ScoredRow> heap_;  // the worst on top
};

}  // namespace aibackend::retrieval
