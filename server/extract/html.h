// HTML as text: what a reader sees, without navigation.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/extract/extract.h"

namespace aibackend::extract {

// The page's title and text. Headings stand on a line of their own after "#" to "######", list
// items after "- " or their number, table rows as "| a | b |": Markdown, which the chunker reads.
// `html` is UTF-8. Fails with REQUEST_TOO_LARGE beyond the limits of text, memory or time.
absl::StatusOr<ExtractedDocument> ExtractHtml(absl::string_view html, const ExtractLimits& limits);

// The charset that a page names within itself, in lower case, or empty.
std::string CharsetOfHtml(absl::string_view bytes);

}  // namespace aibackend::extract
