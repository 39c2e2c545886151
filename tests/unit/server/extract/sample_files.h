// Files of each format, built in memory.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/status.h"
#include "server/extract/extract.h"

namespace aibackend::extract {

using ZipMembers = std::vector<std::pair<std::string, std::string>>;  // names and contents

// Deflated.
std::string MakeZip(const ZipMembers& members);

// A DOCX whose w:body holds `body`, and what else is given.
std::string MakeDocx(absl::string_view body, const ZipMembers& more = {});

// "<w:p>…<w:t>text</w:t>…</w:p>"
std::string Paragraph(absl::string_view text);

// One page of Helvetica, a line for each of `lines` (plain ASCII without brackets).
std::string MakePdf(const std::vector<std::string>& lines);

// Extract() of a file known by its name alone, with the usual limits.
absl::StatusOr<Extracted> ExtractFile(std::string bytes, const std::string& file_name);
// The one document of such a file; what a test compares when it failed says why.
ExtractedDocument OneDocument(std::string bytes, const std::string& file_name);
// The reason for which a file fails.
Reason::Reason ReasonOfFile(std::string bytes, const std::string& file_name);

}  // namespace aibackend::extract
