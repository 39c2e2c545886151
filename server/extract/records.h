// CSV, JSON and JSONL: a document for each record that has a text; else all in one.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/extract/extract.h"

namespace aibackend::extract {

using Documents = std::vector<ExtractedDocument>;

// The fields of a record that are a document's own; any other becomes metadata. A record is a
// document if it has the first.
constexpr absl::string_view kTextField = "text";
constexpr absl::string_view kIdField = "id";
constexpr absl::string_view kTitleField = "title";
constexpr absl::string_view kSourceField = "source";
constexpr absl::string_view kMetadataField = "metadata";

// All take UTF-8 and fail with FIELD_INVALID or REQUEST_TOO_LARGE.

// With a header row; the delimiter (comma, semicolon, tab) is told from it. With a column "text",
// each row is a document; else the file is one, each row a paragraph of "Header: value" lines.
absl::StatusOr<Documents> ExtractCsv(absl::string_view csv, const ExtractLimits& limits);

// {"text": …}, an array of such, or {"documents": [such]}: a document each. Any other JSON is one
// document, a line "path.to[0].value: …" for each value.
absl::StatusOr<Documents> ExtractJson(absl::string_view json, const ExtractLimits& limits);

// The same of a file with one JSON value on each line.
absl::StatusOr<Documents> ExtractJsonl(absl::string_view jsonl, const ExtractLimits& limits);

}  // namespace aibackend::extract
