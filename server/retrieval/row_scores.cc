#include "server/retrieval/row_scores.h"

#include <algorithm>
#include <array>

namespace aibackend::retrieval {

void RowScores::Grow(size_t rows) {
  const size_t blocks = (rows + kBlockRows - 1) / kBlockRows;
  if (blocks <= touched_.size()) return;
  touched_.resize(blocks);
  scores_.resize(blocks * kBlockRows);
}

void RowScores::Restrict(const RowSet& allowed) {
  for (size_t block = 0; block < touched_.size(); ++block) {
    if (touched_[block] == 0) continue;
    uint64_t outside = ~allowed.Word(block);
    for (; outside != 0; outside &= outside - 1) {
      scores_[block * kBlockRows + static_cast<size_t>(__builtin_ctzll(outside))] = 0;
    }
  }
}

float RowScores::Greatest() const {
  // Side by side, so that the compiler may compare several at once.
  std::array<float, 8> greatest{};
  for (size_t block = 0; block < touched_.size(); ++block) {
    if (touched_[block] == 0) continue;
    const float* scores = Block(block);
    for (size_t i = 0; i < kBlockRows; i += greatest.size()) {
      for (size_t j = 0; j < greatest.size(); ++j) {
        greatest[j] = scores[i + j] > greatest[j] ? scores[i + j] : greatest[j];
      }
    }
  }
  return *std::max_element(greatest.begin(), greatest.end());
}

void RowScores::AddScaled(const RowScores& other, float scale, float weight) {
  for (size_t block = 0; block < other.touched_.size(); ++block) {
    if (other.touched_[block] == 0) continue;
    touched_[block] = 1;
    float* __restrict sums = scores_.data() + block * kBlockRows;
    const float* __restrict scores = other.Block(block);
    for (size_t i = 0; i < kBlockRows; ++i) sums[i] += weight * (scores[i] * scale);
  }
}

void RowScores::Clear() {
  for (size_t block = 0; block < touched_.size(); ++block) {
    if (touched_[block] == 0) continue;
    touched_[block] = 0;
    std::fill_n(scores_.begin() + static_cast<ptrdiff_t>(block * kBlockRows), kBlockRows, 0.0F);
  }
}

}  // namespace aibackend::retrieval
