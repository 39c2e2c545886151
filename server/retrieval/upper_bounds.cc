#include "server/retrieval/upper_bounds.h"

#include <algorithm>
#include <array>
#include <functional>

namespace aibackend::retrieval {
namespace {

// The k-th greatest; 0 where there are fewer. Reorders them.
float KthGreatest(std::vector<float>& values, size_t k) {
  if (values.size() < k) return 0;
  const auto kth = values.begin() + static_cast<ptrdiff_t>(k - 1);
  std::nth_element(values.begin(), kth, values.end(), std::greater<>());
  return *kth;
}

float Worst(const std::vector<ScoredRow>& rows) {
  float worst = rows.front().score;
  for (const ScoredRow& row : rows) worst = std::min(worst, row.score);
  return worst;
}

}  // namespace

void UpperBounds::Reset(size_t rows) {
  block_greatest_.resize((rows + kBlockRows - 1) / kBlockRows);
  lane_greatest_.resize(blocks() * kLanes);
  if (bounds_.size() < blocks() * kBlockRows) bounds_.resize(blocks() * kBlockRows);
}

void UpperBounds::Seal(size_t block) {
  std::array<float, kLanes> greatest{};
  const float* bounds = Block(block);
  for (size_t i = 0; i < kBlockRows; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) {
      greatest[j] = bounds[i + j] > greatest[j] ? bounds[i + j] : greatest[j];
    }
  }
  std::copy(greatest.begin(), greatest.end(), &lane_greatest_[block * kLanes]);
  block_greatest_[block] = *std::max_element(greatest.begin(), greatest.end());
}

// At most the k-th greatest bound: k groups of rows have one that is as great.
float UpperBounds::FloorOfGreatest(size_t k) const {
  std::vector<float> groups = blocks() >= 2 * k ? block_greatest_ : lane_greatest_;
  return KthGreatest(groups, k);
}

std::vector<ScoredRow> UpperBounds::Greatest(size_t k) const {
  std::vector<ScoredRow> found = AtLeast(FloorOfGreatest(k));
  if (found.size() <= k) return found;
  std::nth_element(found.begin(), found.begin() + static_cast<ptrdiff_t>(k), found.end(),
                   [](const ScoredRow& a, const ScoredRow& b) { return IsBetterRow(a, b); });
  found.resize(k);
  return found;
}

std::vector<ScoredRow> UpperBounds::AtLeast(float floor) const {
  std::vector<ScoredRow> found;
  for (size_t block = 0; block < blocks(); ++block) {
    if (block_greatest_[block] <= 0 || block_greatest_[block] < floor) continue;
    for (size_t row = block * kBlockRows; row < (block + 1) * kBlockRows; ++row) {
      const float bound = bounds_[row];
      if (bound > 0 && bound >= floor) found.push_back({static_cast<uint32_t>(row), bound});
    }
  }
  return found;
}

std::vector<ScoredRow> UpperBounds::Best(size_t k,
                                         absl::FunctionRef<float(size_t row)> score) const {
  if (k == 0) return {};
  std::vector<ScoredRow> first = Greatest(k);
  if (first.empty()) return {};
  for (ScoredRow& row : first) row.score = score(row.row);
  std::vector<ScoredRow> candidates = AtLeast(first.size() < k ? 0 : Worst(first));
  std::sort(candidates.begin(), candidates.end(),
            [](const ScoredRow& a, const ScoredRow& b) { return IsBetterRow(a, b); });
  BestRows best(k);
  for (const ScoredRow& candidate : candidates) {
    if (candidate.score < best.Floor()) break;
    const float exact = score(candidate.row);
    if (exact > 0) best.Offer({candidate.row, exact});
  }
  return best.Take();
}

}  // namespace aibackend::retrieval
