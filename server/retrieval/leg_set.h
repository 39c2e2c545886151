// The legs of a hybrid search, and which of them take part.
#pragma once

#include <bitset>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace aibackend::retrieval {

// In the order in which their scores are added up.
enum class Leg {
  kWords,
  kBigrams,
  kChars,
  kUnstemmed,
  kExpanded,
  kDense,
  kFeedback,
  kNeighbours,  // has no score of its own: it lets the neighbours speak
};
inline constexpr size_t kLegs = 8;

// "words", "bigrams" and so on.
const char* LegName(Leg leg);

class LegSet {
 public:
  // All of them.
  LegSet() { legs_.set(); }
  // The legs of these names. Errors: kInvalidArgument, for an unknown name and for none at all.
  static absl::StatusOr<LegSet> Parse(const std::vector<std::string>& names);

  bool Has(Leg leg) const { return legs_[static_cast<size_t>(leg)]; }
  void Remove(Leg leg) { legs_.reset(static_cast<size_t>(leg)); }

 private:
  std::bitset<kLegs> legs_;
};

}  // namespace aibackend::retrieval
