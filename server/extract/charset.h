// Text of any usual encoding as UTF-8.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace aibackend::extract {

// `bytes` as well-formed UTF-8 without byte order mark, told by: the mark (UTF-8, UTF-16),
// `charset` where it names one that is known, whether they are UTF-8, ICU's guess, Windows-1252.
// What is malformed becomes U+FFFD. Fails with UNSUPPORTED_MEDIA_TYPE where they are no text.
absl::StatusOr<std::string> DecodeText(absl::string_view bytes, absl::string_view charset);

// UTF-8 in which each malformed sequence has become U+FFFD.
std::string ReplaceMalformed(absl::string_view text);

// UTF-8 in the shape that extract.h promises: CR LF and CR become LF, a form feed (a page's end)
// a blank line, other control characters go.
std::string CleanText(absl::string_view text);

}  // namespace aibackend::extract
