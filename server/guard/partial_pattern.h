// Which texts may still become a match.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace aibackend::guard {

// For a pattern that RE2 compiles, one that matches up to the end of the text from where on the
// text could be the beginning of a match, had it more characters: everything in the pattern that
// takes a character or asserts something may also be satisfied by the end. It matches a little more
// (never less) than that where assertions stand at the end.
std::string PartialPattern(absl::string_view pattern);

}  // namespace aibackend::guard
