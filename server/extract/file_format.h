// Which format a file has.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace aibackend::extract {

enum class FileFormat { kText, kMarkdown, kHtml, kPdf, kDocx, kCsv, kJson, kJsonl };

// "text", "markdown", …: the values of Extracted::format.
absl::string_view FormatName(FileFormat format);

// As extract.h says: the media type, then the name's ending, then the bytes. Fails with
// UNSUPPORTED_MEDIA_TYPE.
absl::StatusOr<FileFormat> FormatOf(absl::string_view content_type, absl::string_view file_name,
                                    absl::string_view bytes);

// The charset parameter of a media type in lower case, or empty.
std::string CharsetOf(absl::string_view content_type);

}  // namespace aibackend::extract
