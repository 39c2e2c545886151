#include "server/tasks/ranking_measures.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"

namespace aibackend::tasks {
namespace {

// What the first `cutoff` distinct documents gain, each at its rank; never below 0.
std::vector<double> GainsOf(size_t cutoff, const Judgements& judgements, const Ranking& ranking) {
  std::vector<double> gains;
  absl::flat_hash_set<absl::string_view> seen;
  for (const std::string& document : ranking) {
    if (gains.size() == cutoff) break;
    if (!seen.insert(document).second) continue;
    const auto judged = judgements.find(document);
    gains.push_back(judged == judgements.end() ? 0 : std::max(0.0, judged->second));
  }
  return gains;
}

// All gains that there are, greatest first.
std::vector<double> IdealGains(const Judgements& judgements) {
  std::vector<double> gains;
  for (const auto& [document, relevance] : judgements) {
    if (relevance > 0) gains.push_back(relevance);
  }
  std::sort(gains.begin(), gains.end(), std::greater<>());
  return gains;
}

double Discounted(const std::vector<double>& gains, size_t cutoff) {
  double sum = 0;
  for (size_t i = 0; i < std::min(cutoff, gains.size()); ++i) {
    sum += gains[i] / std::log2(static_cast<double>(i) + 2);
  }
  return sum;
}

bool IsRelevant(double gain) {
  return gain > 0;
}

}  // namespace

bool HasRelevant(const Judgements& judgements) {
  return std::any_of(judgements.begin(), judgements.end(),
                     [](const auto& each) { return IsRelevant(each.second); });
}

double NdcgAt(size_t cutoff, const Judgements& judgements, const Ranking& ranking) {
  const double ideal = Discounted(IdealGains(judgements), cutoff);
  if (ideal <= 0) return 0;
  return Discounted(GainsOf(cutoff, judgements, ranking), cutoff) / ideal;
}

double RecallAt(size_t cutoff, const Judgements& judgements, const Ranking& ranking) {
  const size_t relevant = IdealGains(judgements).size();
  if (relevant == 0) return 0;
  const auto gains = GainsOf(cutoff, judgements, ranking);
  return static_cast<double>(std::count_if(gains.begin(), gains.end(), IsRelevant)) /
         static_cast<double>(relevant);
}

double ReciprocalRankAt(size_t cutoff, const Judgements& judgements, const Ranking& ranking) {
  const auto gains = GainsOf(cutoff, judgements, ranking);
  const auto first = std::find_if(gains.begin(), gains.end(), IsRelevant);
  return first == gains.end() ? 0 : 1 / static_cast<double>(first - gains.begin() + 1);
}

}  // namespace aibackend::tasks
