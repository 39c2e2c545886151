// The marks by which a model cites the passages that it was given, in the text of its answer:
//
//   mark    = "[" number *("," number) "]"       such as [2] or [1, 3]
//           | "[" number ":" quote "]"           such as [2: "exact words"]
//   number  = digits, from 1
//   quote   = words of the passage between quotation marks of any kind
//
// White space may stand between all of these. A list that holds a 0 is an interval and no mark. A
// quote ends at the bracket that closes the mark, so that it may hold quotation marks, and brackets
// in pairs.
#pragma once

#include <cstddef>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace aibackend::models {

inline constexpr size_t kMarkerBytesMax = 1024;  // two long sentences; as much of a stream waits

struct CitationMarker {
  std::vector<size_t> numbers;              // at least one; beyond nine digits 0, which is nobody's
  absl::optional<absl::string_view> quote;  // the one number's, without its quotation marks
  size_t bytes = 0;                         // of the whole mark; of a broken one up to its quote
};

enum class MarkerKind {
  kText,       // no mark begins here
  kMarker,     // a mark
  kUndecided,  // more text will tell; never where `is_all`
  kBroken,     // it begins as a mark with a quote, and doesn't end as one
};

// What stands at the beginning of `text`, which begins with '['. `is_all`: nothing comes after it.
// Only the first kMarkerBytesMax bytes count. Of kMarker and kBroken `marker` tells more; it points
// into `text`.
MarkerKind ReadMarker(absl::string_view text, bool is_all, CitationMarker* marker);

// The bytes of the quotation mark that `text` begins or ends with; 0: none.
size_t QuotationMarkAt(absl::string_view text);
size_t QuotationMarkBefore(absl::string_view text);

}  // namespace aibackend::models
