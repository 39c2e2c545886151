#include "server/retrieval/fitted_space.h"

#include <cblas.h>

#include <algorithm>
#include <cmath>

namespace aibackend::retrieval {
namespace {

// Of a vocabulary greater than this, terms that only one chunk holds are left out: they relate no
// two chunks, and are most of it.
constexpr size_t kRareTermsKeptMax = 50'000;

struct TermStatistics {
  uint32_t first_seen = 0;  // order of first occurrence: makes the fit repeatable
  uint32_t chunks = 0;
  double total = 0;
  double sum_count_log_count = 0;
};

using Statistics = absl::flat_hash_map<Term, TermStatistics>;

Statistics Gather(const std::vector<const Bag*>& texts) {
  Statistics statistics;
  for (const Bag* text : texts) {
    for (const TermCount& t : *text) {
      const auto order = static_cast<uint32_t>(statistics.size());
      TermStatistics& s = statistics.try_emplace(t.term, TermStatistics{order}).first->second;
      ++s.chunks;
      s.total += t.count;
      s.sum_count_log_count += t.count * std::log(t.count);
    }
  }
  return statistics;
}

// 1 + sum p ln p / ln N. With p = c / total, sum p ln p = (sum c ln c) / total - ln total.
float GlobalWeight(const TermStatistics& s, size_t texts) {
  const double entropy = s.sum_count_log_count / s.total - std::log(s.total);
  const double weight = 1 + entropy / std::log(std::max<double>(static_cast<double>(texts), 2));
  return static_cast<float>(std::clamp(weight, 0.0, 1.0));
}

}  // namespace

std::unique_ptr<const FittedSpace> FittedSpace::Fit(const std::vector<const Bag*>& texts) {
  auto space = std::make_unique<FittedSpace>();
  const Statistics statistics = Gather(texts);
  const bool keeps_rare = statistics.size() <= kRareTermsKeptMax;

  std::vector<std::pair<uint32_t, Term>> kept;
  for (const auto& [term, s] : statistics) {
    if (keeps_rare || s.chunks >= 2) kept.emplace_back(s.first_seen, term);
  }
  std::sort(kept.begin(), kept.end());
  for (uint32_t row = 0; row < kept.size(); ++row) {
    const Term term = kept[row].second;
    space->vocabulary_[term] = {row, GlobalWeight(statistics.at(term), texts.size())};
  }

  SparseMatrix matrix;
  matrix.columns = kept.size();
  for (const Bag* text : texts) {
    const size_t start = matrix.values.size();
    for (const TermCount& t : *text) {
      const auto found = space->vocabulary_.find(t.term);
      if (found == space->vocabulary_.end()) continue;
      matrix.column_of.push_back(found->second.row);
      matrix.values.push_back(std::log1p(t.count) * found->second.weight);
    }
    Normalise(matrix.values.data() + start, matrix.values.size() - start);
    matrix.row_starts.push_back(matrix.values.size());
  }
  const size_t smaller = std::min(matrix.rows(), matrix.columns);
  const size_t k = smaller > 20 ? std::min(kDimensionsMax, smaller - 20) : 0;
  space->basis_ = RightSingularVectors(matrix, k);
  return space;
}

bool FittedSpace::Embed(const Bag& text, float* vector) const {
  std::fill(vector, vector + dimensions(), 0.0F);
  if (dimensions() == 0) return false;
  for (const TermCount& t : text) {
    const auto found = vocabulary_.find(t.term);
    if (found == vocabulary_.end()) continue;
    cblas_saxpy(static_cast<int>(dimensions()), std::log1p(t.count) * found->second.weight,
                basis_.row(found->second.row), 1, vector, 1);
  }
  if (Normalise(vector, dimensions())) return true;
  std::fill(vector, vector + dimensions(), 0.0F);
  return false;
}

}  // namespace aibackend::retrieval
