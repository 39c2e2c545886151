// The best k rows where a score is dear and an upper bound of it is at hand.
#pragma once

#include <cstddef>
#include <vector>

#include "absl/functional/function_ref.h"
#include "server/retrieval/row_scores.h"
#include "server/retrieval/top_rows.h"

namespace aibackend::retrieval {

// An upper bound for each row, none of them NaN; rows whose bound is 0 or less are in no answer.
// Kept from one search to the next. Not thread-safe.
class UpperBounds {
 public:
  static constexpr size_t kBlockRows = RowScores::kBlockRows;

  // Rows [0, rows); what they had is forgotten. Every block must then be written and sealed.
  void Reset(size_t rows);
  size_t blocks() const { return block_greatest_.size(); }
  float* Block(size_t block) { return bounds_.data() + block * kBlockRows; }
  // To be called when a block is written.
  void Seal(size_t block);

  float operator[](size_t row) const { return bounds_[row]; }
  // A better bound for a row: not greater than it was.
  void Lower(size_t row, float bound) { bounds_[row] = bound; }

  // The best `k` rows by `score`, ties to the lower row; those that score 0 or less are left out.
  //
  // The k rows with the greatest bounds are scored first. So k rows score at least the worst of
  // them, the floor: a row whose bound is below it has k better ones, and is not in the answer.
  // The others are scored, the greatest bound first, until a bound is below the k-th best score.
  // Strictly below: a row that may tie is scored. `score` is asked again for the first k.
  //
  // At worst (rows that hardly differ, such as thousands of copies) every row is scored.
  std::vector<ScoredRow> Best(size_t k, absl::FunctionRef<float(size_t row)> score) const;

 private:
  static constexpr size_t kLanes = 8;

  float FloorOfGreatest(size_t k) const;
  std::vector<ScoredRow> Greatest(size_t k) const;
  std::vector<ScoredRow> AtLeast(float floor) const;

  std::vector<float> bounds_;          // whole blocks
  std::vector<float> lane_greatest_;   // of each block's rows i with i % kLanes alike
  std::vector<float> block_greatest_;  // of each block
};

}  // namespace aibackend::retrieval
