// DOCX (Office Open XML, ECMA-376) as text.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/extract/extract.h"

namespace aibackend::extract {

// The document's title, its text and then its footnotes: headings after "#", list items after "- ",
// table rows as "| a | b |", without what change tracking has deleted. Fails as Extract() does.
absl::StatusOr<ExtractedDocument> ExtractDocx(absl::string_view docx, const ExtractLimits& limits);

}  // namespace aibackend::extract
