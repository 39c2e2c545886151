#include "server/extract/file_format.h"

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/types/optional.h"
#include "server/extract/failure.h"

namespace aibackend::extract {
namespace {

// An HTML page starts within this: the standard's own limit for telling types by their bytes
// (mimesniff.spec.whatwg.org, section 7.1).
constexpr size_t kSniffedBytes = 1445;
// Of a type or an ending that a message repeats.
constexpr size_t kQuotedBytesMax = 64;

struct Known {
  absl::string_view name;
  FileFormat format;
};

constexpr Known kTypes[] = {
    {"text/plain", FileFormat::kText},
    {"text/markdown", FileFormat::kMarkdown},
    {"text/x-markdown", FileFormat::kMarkdown},
    {"text/html", FileFormat::kHtml},
    {"application/xhtml+xml", FileFormat::kHtml},
    {"application/pdf", FileFormat::kPdf},
    {"application/x-pdf", FileFormat::kPdf},
    {"application/vnd.openxmlformats-officedocument.wordprocessingml.document", FileFormat::kDocx},
    {"text/csv", FileFormat::kCsv},
    {"application/csv", FileFormat::kCsv},
    {"text/tab-separated-values", FileFormat::kCsv},
    {"application/json", FileFormat::kJson},
    {"text/json", FileFormat::kJson},
    {"application/jsonl", FileFormat::kJsonl},
    {"application/x-jsonlines", FileFormat::kJsonl},
    {"application/x-ndjson", FileFormat::kJsonl},
};

constexpr Known kEndings[] = {
    {"txt", FileFormat::kText},          {"text", FileFormat::kText},
    {"log", FileFormat::kText},          {"md", FileFormat::kMarkdown},
    {"markdown", FileFormat::kMarkdown}, {"html", FileFormat::kHtml},
    {"htm", FileFormat::kHtml},          {"xhtml", FileFormat::kHtml},
    {"pdf", FileFormat::kPdf},           {"docx", FileFormat::kDocx},
    {"csv", FileFormat::kCsv},           {"tsv", FileFormat::kCsv},
    {"json", FileFormat::kJson},         {"jsonl", FileFormat::kJsonl},
    {"ndjson", FileFormat::kJsonl},
};

template <size_t N>
absl::optional<FileFormat> Find(const Known (&table)[N], absl::string_view name) {
  for (const Known& known : table) {
    if (known.name == name) return known.format;
  }
  return absl::nullopt;
}

std::string MediaType(absl::string_view content_type) {
  return absl::AsciiStrToLower(
      absl::StripAsciiWhitespace(content_type.substr(0, content_type.find(';'))));
}

std::string Ending(absl::string_view file_name) {
  const size_t dot = file_name.find_last_of("./\\");
  if (dot == absl::string_view::npos || file_name[dot] != '.') return {};
  return absl::AsciiStrToLower(file_name.substr(dot + 1));
}

// Nothing but what a type or an ending is made of, so that a message can repeat it.
std::string Quoted(absl::string_view text) {
  std::string quoted;
  for (const char c : text.substr(0, kQuotedBytesMax)) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
        absl::string_view("/.+-_").find(c) != absl::string_view::npos) {
      quoted.push_back(c);
    }
  }
  return quoted;
}

bool StartsAsHtml(absl::string_view bytes) {
  const std::string start =
      absl::AsciiStrToLower(absl::StripLeadingAsciiWhitespace(bytes.substr(0, kSniffedBytes)));
  return absl::StartsWith(start, "<!doctype html") || absl::StartsWith(start, "<html");
}

FileFormat FormatOfBytes(absl::string_view bytes) {
  if (absl::StartsWith(bytes, "%PDF-")) return FileFormat::kPdf;
  if (absl::StartsWith(bytes, "PK\x03\x04")) return FileFormat::kDocx;  // its reader looks closer
  if (StartsAsHtml(bytes)) return FileFormat::kHtml;
  return FileFormat::kText;  // its reader refuses what is binary
}

}  // namespace

absl::string_view FormatName(FileFormat format) {
  switch (format) {
    case FileFormat::kText:
      return "text";
    case FileFormat::kMarkdown:
      return "markdown";
    case FileFormat::kHtml:
      return "html";
    case FileFormat::kPdf:
      return "pdf";
    case FileFormat::kDocx:
      return "docx";
    case FileFormat::kCsv:
      return "csv";
    case FileFormat::kJson:
      return "json";
    case FileFormat::kJsonl:
      return "jsonl";
  }
  return "";
}

absl::StatusOr<FileFormat> FormatOf(absl::string_view content_type, absl::string_view file_name,
                                    absl::string_view bytes) {
  const std::string type = MediaType(content_type);
  const std::string ending = Ending(file_name);
  // What a sender says that doesn't know.
  const bool is_vague = type.empty() || type == "application/octet-stream" || type == "text/plain";
  const auto by_type = Find(kTypes, type);
  if (by_type && !is_vague) return *by_type;
  // Also where the type is a stranger: Windows calls a CSV file application/vnd.ms-excel.
  if (const auto by_ending = Find(kEndings, ending)) return *by_ending;
  if (by_type) return *by_type;
  if (absl::StartsWith(type, "text/")) return FileFormat::kText;
  if (is_vague) return FormatOfBytes(bytes);
  return Unsupported(absl::StrCat("files of the type ", Quoted(type), " can't be read; text, ",
                                  "Markdown, HTML, PDF, DOCX, CSV, JSON and JSONL can"));
}

std::string CharsetOf(absl::string_view content_type) {
  const std::string lower = absl::AsciiStrToLower(content_type);
  const size_t at = lower.find("charset=");
  if (at == std::string::npos) return {};
  absl::string_view value = absl::string_view(lower).substr(at + sizeof("charset=") - 1);
  value = absl::StripPrefix(value.substr(0, value.find(';')), "\"");
  return std::string(value.substr(0, value.find_first_of("\" \t'>/")));
}

}  // namespace aibackend::extract
