#include "server/retrieval/top_rows.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

namespace aibackend::retrieval {

float ScoreOf(const float* a, const float* b, size_t dimensions) {
  constexpr size_t kSums = 8;
  std::array<double, kSums> sums{};
  const size_t whole = dimensions / kSums * kSums;
  for (size_t i = 0; i < whole; i += kSums) {
#pragma GCC unroll 8
    for (size_t j = 0; j < kSums; ++j) {
      sums[j] += static_cast<double>(a[i + j]) * static_cast<double>(b[i + j]);
    }
  }
  for (size_t i = whole; i < dimensions; ++i) {
    sums[i - whole] += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  }
  return static_cast<float>(((sums[0] + sums[4]) + (sums[2] + sums[6])) +
                            ((sums[1] + sums[5]) + (sums[3] + sums[7])));
}

void BestRows::Offer(ScoredRow row) {
  if (heap_.size() == k_) {
    if (k_ == 0 || !IsBetterRow(row, heap_.front())) return;
    std::pop_heap(heap_.begin(), heap_.end(), IsBetterRow);
    heap_.pop_back();
  }
  heap_.push_back(row);
  std::push_heap(heap_.begin(), heap_.end(), IsBetterRow);
}

float BestRows::Floor() const {
  return heap_.size() < k_ || k_ == 0 ? -std::numeric_limits<float>::infinity()
                                      : heap_.front().score;
}

std::vector<ScoredRow> BestRows::Take() {
  std::sort(heap_.begin(), heap_.end(), IsBetterRow);
  return std::exchange(heap_, {});
}

}  // namespace aibackend::retrieval
