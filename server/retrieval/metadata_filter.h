// Which documents a search may find, by their metadata.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace aibackend::retrieval {

// A scalar of a document's metadata. Numbers are compared as doubles, texts by their bytes; values
// of different kinds are never equal, and neither is before the other.
using MetadataValue = std::variant<bool, double, std::string>;

// The conditions of RetrieveRequest.filter (documents.proto), all of which must hold. Each stands
// for itself: of a list, one element may fit `gte` and another `lt`.
struct MetadataFilter {
  enum class Operator { kEqual, kIn, kLess, kLessOrEqual, kGreater, kGreaterOrEqual, kExists };

  struct Condition {
    std::string field;  // of nested objects with dots: "author.name"
    Operator op = Operator::kEqual;
    std::vector<MetadataValue> values;  // one; of kIn one or more; of kExists one bool
  };

  std::string name = "filter";        // the request's field, for errors
  std::vector<Condition> conditions;  // none: every document fits

  static constexpr size_t kBytesMax = 64 << 10;  // of JSON text: 1000 values of a line each
  static constexpr size_t kConditionsMax = 32;
  static constexpr size_t kValuesMax = 1000;  // of all conditions together
};

// Reads the JSON text of a filter; empty text is the empty filter. A number that no double holds is
// refused, as is a name that is given twice. Errors: FILTER_INVALID, for `field` with the place in
// it ("filter.year.gte", "filter.tag.in[3]").
absl::StatusOr<MetadataFilter> ParseFilter(absl::string_view json, absl::string_view field);

}  // namespace aibackend::retrieval
