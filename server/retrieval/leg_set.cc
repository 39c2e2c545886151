#include "server/retrieval/leg_set.h"

#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"

namespace aibackend::retrieval {
namespace {

absl::optional<Leg> LegOf(const std::string& name) {
  for (size_t i = 0; i < kLegs; ++i) {
    const auto leg = static_cast<Leg>(i);
    if (name == LegName(leg)) return leg;
  }
  return absl::nullopt;
}

}  // namespace

const char* LegName(Leg leg) {
  switch (leg) {
    case Leg::kWords:
      return "words";
    case Leg::kBigrams:
      return "bigrams";
    case Leg::kChars:
      return "chars";
    case Leg::kUnstemmed:
      return "unstemmed";
    case Leg::kExpanded:
      return "expanded";
    case Leg::kDense:
      return "dense";
    case Leg::kFeedback:
      return "feedback";
    case Leg::kNeighbours:
      return "neighbours";
  }
  return "?";
}

absl::StatusOr<LegSet> LegSet::Parse(const std::vector<std::string>& names) {
  LegSet set;
  set.legs_.reset();
  for (const std::string& name : names) {
    const absl::optional<Leg> leg = LegOf(name);
    if (!leg.has_value()) {
      return absl::InvalidArgumentError(absl::StrCat("'", name, "' is no leg of retrieval"));
    }
    set.legs_.set(static_cast<size_t>(*leg));
  }
  if (set.legs_.none()) return absl::InvalidArgumentError("retrieval needs at least one leg");
  return set;
}

}  // namespace aibackend::retrieval
