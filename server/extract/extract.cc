#include "server/extract/extract.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/base/text.h"
#include "server/extract/charset.h"
#include "server/extract/docx.h"
#include "server/extract/failure.h"
#include "server/extract/file_format.h"
#include "server/extract/html.h"
#include "server/extract/pdf.h"
#include "server/extract/records.h"

namespace aibackend::extract {
namespace {

absl::StatusOr<Documents> One(absl::StatusOr<ExtractedDocument> document) {
  if (!document.ok()) return document.status();
  Documents documents;
  documents.push_back(*std::move(document));
  return documents;
}

absl::StatusOr<std::string> Decode(const ExtractRequest& request, FileFormat format) {
  std::string charset = CharsetOf(request.content_type);
  if (charset.empty() && format == FileFormat::kHtml) charset = CharsetOfHtml(request.bytes);
  return DecodeText(request.bytes, charset);
}

absl::StatusOr<Documents> Read(const ExtractRequest& request, FileFormat format,
                               const ExtractLimits& limits) {
  if (format == FileFormat::kPdf) return One(ExtractPdf(request.bytes, kPdfToTextPath, limits));
  if (format == FileFormat::kDocx) return One(ExtractDocx(request.bytes, limits));
  AIB_ASSIGN_OR_RETURN(std::string text, Decode(request, format));
  switch (format) {
    case FileFormat::kHtml:
      return One(ExtractHtml(text, limits));
    case FileFormat::kCsv:
      return ExtractCsv(text, limits);
    case FileFormat::kJson:
      return ExtractJson(text, limits);
    case FileFormat::kJsonl:
      return ExtractJsonl(text, limits);
    default:
      break;
  }
  ExtractedDocument document;
  document.text = std::move(text);
  return One(std::move(document));
}

// To the shape that extract.h promises, whatever a reader made.
absl::Status Finish(const ExtractLimits& limits, ExtractedDocument& document) {
  document.text = CleanText(document.text);
  document.title = CleanText(document.title);
  document.id = CleanText(document.id);
  document.source = CleanText(document.source);
  if (absl::StripAsciiWhitespace(document.text).empty()) {
    return Damaged("the file holds no text (scanned pages are pictures)");
  }
  if (document.text.size() > limits.text_bytes_max) {
    return TooLarge(absl::StrCat("the file holds more than ", limits.text_bytes_max,
                                 " bytes of text in one document"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Extracted> ExtractAll(const ExtractRequest& request, const ExtractLimits& limits) {
  if (request.bytes.size() > limits.input_bytes_max) {
    return TooLarge(absl::StrCat("a file must be at most ", limits.input_bytes_max, " bytes; got ",
                                 request.bytes.size()));
  }
  if (request.bytes.empty()) return Damaged("the file is empty");
  AIB_ASSIGN_OR_RETURN(const FileFormat format,
                       FormatOf(request.content_type, request.file_name, request.bytes));
  AIB_ASSIGN_OR_RETURN(Documents documents, Read(request, format, limits));
  for (ExtractedDocument& document : documents) {
    AIB_RETURN_IF_ERROR(Finish(limits, document));
  }
  return Extracted{std::string(FormatName(format)), std::move(documents)};
}

}  // namespace

absl::StatusOr<Extracted> Extract(const ExtractRequest& request, const ExtractLimits& limits) {
  auto extracted = ExtractAll(request, limits);
  if (extracted.ok()) return extracted;
  return MakeError(ReasonOf(extracted.status()), extracted.status().message(), request.field);
}

}  // namespace aibackend::extract
