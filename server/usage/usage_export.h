// Rows of the ledger as lines of an export.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "server/usage/request_row.h"

namespace aibackend::usage {

enum class ExportFormat {
  // RFC 4180: a header line, CRLF, quotes where they are needed. A text that begins with = + - @
  // TAB or CR, which a spreadsheet would run as a formula, gets an apostrophe before it; numbers,
  // also negative ones, stay numbers.
  kCsv,
  // A JSON object a line: the contract's RequestLog as protobuf writes it.
  kJsonLines,
};

// "csv" or "jsonl".
absl::optional<ExportFormat> ExportFormatOf(absl::string_view name);

const char* ContentTypeOf(ExportFormat format);

// What stands before the first row.
std::string ExportHead(ExportFormat format);

// One row with its line end. Bytes that are no UTF-8 become U+FFFD in JSON.
std::string ExportLine(ExportFormat format, const RequestRow& row);

}  // namespace aibackend::usage
