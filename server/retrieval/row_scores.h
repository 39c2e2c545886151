// A score for each row of a collection, where most rows have none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "server/retrieval/row_set.h"

namespace aibackend::retrieval {

// Kept from one search to the next, so that a search pays for the rows it touches: those are
// remembered, in blocks of 64, and passes go over those. (A bit for each row would make each row
// wait for the one before it: neighbours share a word.) Scores are not negative.
// Not thread-safe.
class RowScores {
 public:
  static constexpr size_t kBlockRows = RowSet::kWordRows;

  // Makes room for rows [0, rows). All are 0 at first.
  void Grow(size_t rows);

  void Add(size_t row, float score) {
    scores_[row] += score;
    touched_[row / kBlockRows] = 1;
  }
  // Forgets the rows that are not in `allowed`.
  void Restrict(const RowSet& allowed);
  float Greatest() const;
  // Adds weight * (scale * a score of `other`) to the row's.
  void AddScaled(const RowScores& other, float scale, float weight);
  // Back to all 0.
  void Clear();

  float operator[](size_t row) const { return scores_[row]; }
  // Whether a row of 64 * block to 64 * block + 63 may have a score; and the scores of them all.
  bool IsTouched(size_t block) const { return touched_[block] != 0; }
  const float* Block(size_t block) const { return scores_.data() + block * kBlockRows; }
  size_t blocks() const { return touched_.size(); }

 private:
  std::vector<float> scores_;     // whole blocks
  std::vector<uint8_t> touched_;  // by block: 1 where a row was given a score
};

}  // namespace aibackend::retrieval
