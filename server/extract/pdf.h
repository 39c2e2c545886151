// PDF as text, by poppler's pdftotext in a child process.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/extract/extract.h"

namespace aibackend::extract {

// The text in reading order (of two columns, first one and then the other), pages as paragraphs.
// `program` is a path (kPdfToTextPath; a test has another). Fails as Extract() does; INTERNAL where
// the system can start no process.
absl::StatusOr<ExtractedDocument> ExtractPdf(absl::string_view pdf, const std::string& program,
                                             const ExtractLimits& limits);

}  // namespace aibackend::extract
