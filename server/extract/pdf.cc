#include "server/extract/pdf.h"

#include "absl/strings/match.h"
#include "server/extract/charset.h"
#include "server/extract/child_process.h"
#include "server/extract/failure.h"

namespace aibackend::extract {
namespace {

absl::Status Check(const ChildResult& result) {
  switch (result.end) {
    case ChildResult::End::kOutOfTime:
      return TooLarge("reading the PDF takes too long");
    case ChildResult::End::kOutputTooLong:
      return TooLarge("the PDF holds too much text");
    case ChildResult::End::kCrashed:
      return Damaged("the PDF can't be read: it is damaged, or needs too much memory");
    case ChildResult::End::kExited:
      break;
  }
  if (result.exit_code == 0) return absl::OkStatus();
  if (absl::StrContains(result.errors, "Incorrect password")) {
    return Damaged("the PDF can't be read: it is encrypted, and needs a password");
  }
  return Damaged("the PDF can't be read: it is damaged, or no PDF");
}

}  // namespace

absl::StatusOr<ExtractedDocument> ExtractPdf(absl::string_view pdf, const std::string& program,
                                             const ExtractLimits& limits) {
  const std::vector<std::string> argv = {program, "-enc", "UTF-8", "-eol", "unix", "-", "-"};
  auto result = RunChild(
      argv, pdf, {limits.cpu_max, limits.wall_max, limits.memory_bytes_max, limits.text_bytes_max});
  if (absl::IsNotFound(result.status())) {
    return Unsupported("PDFs can't be read on this server: pdftotext is not installed");
  }
  if (!result.ok()) return MakeError(Reason::INTERNAL, result.status().message());
  AIB_RETURN_IF_ERROR(Check(*result));
  ExtractedDocument document;
  document.text = ReplaceMalformed(result->output);
  return document;
}

}  // namespace aibackend::extract
