// What the ledger keeps of what was asked and answered.
#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace aibackend::usage {

enum class ContentPolicy {
  kOn,      // the text
  kOff,     // nothing; its size alone, which is kept in any case
  kHashed,  // "sha256:" and 64 hex digits: two requests can be told to be of one text
};

// What is kept of `text`: at most `bytes_max` bytes, cut on a character. The hash is of all of
// `text`; of an empty one nothing is kept.
std::string KeptContent(ContentPolicy policy, absl::string_view text, size_t bytes_max);

}  // namespace aibackend::usage
