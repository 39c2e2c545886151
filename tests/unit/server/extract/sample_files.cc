#include "tests/unit/server/extract/sample_files.h"

#include <archive.h>
#include <archive_entry.h>

#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace aibackend::extract {
namespace {

constexpr absl::string_view kNamespace =
    "http://schemas.openxmlformats.org/wordprocessingml/2006/main";

void Require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

std::string MakeZip(const ZipMembers& members) {
  size_t bytes = 64 << 10;
  for (const auto& [name, content] : members) bytes += content.size() + 1024;
  std::string zip(bytes, '\0');
  size_t used = 0;
  archive* writer = archive_write_new();
  archive_write_set_format_zip(writer);
  archive_write_set_bytes_per_block(writer, 0);
  Require(archive_write_open_memory(writer, zip.data(), zip.size(), &used) == ARCHIVE_OK);
  for (const auto& [name, content] : members) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_size(entry, static_cast<la_int64_t>(content.size()));
    Require(archive_write_header(writer, entry) == ARCHIVE_OK);
    Require(archive_write_data(writer, content.data(), content.size()) ==
            static_cast<la_ssize_t>(content.size()));
    archive_entry_free(entry);
  }
  Require(archive_write_close(writer) == ARCHIVE_OK);
  archive_write_free(writer);
  zip.resize(used);
  return zip;
}

std::string MakeDocx(absl::string_view body, const ZipMembers& more) {
  ZipMembers members = {{"[Content_Types].xml", "<Types/>"},
                        {"word/document.xml",
                         absl::StrCat("<?xml version=\"1.0\"?><w:document xmlns:w=\"", kNamespace,
                                      "\"><w:body>", body, "</w:body></w:document>")}};
  members.insert(members.end(), more.begin(), more.end());
  return MakeZip(members);
}

std::string Paragraph(absl::string_view text) {
  return absl::StrCat("<w:p><w:r><w:t>", text, "</w:t></w:r></w:p>");
}

std::string MakePdf(const std::vector<std::string>& lines) {
  std::string content = "BT /F1 12 Tf 72 720 Td 14 TL\n";
  for (const std::string& line : lines) absl::StrAppend(&content, "(", line, ") Tj T*\n");
  content += "ET\n";
  const std::vector<std::string> objects = {
      "<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
      "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
      "/Resources << /Font << /F1 5 0 R >> >> >>",
      absl::StrCat("<< /Length ", content.size(), " >>\nstream\n", content, "endstream"),
      "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"};
  std::string pdf = "%PDF-1.4\n";
  std::string table = absl::StrCat("xref\n0 ", objects.size() + 1, "\n0000000000 65535 f \n");
  for (size_t i = 0; i < objects.size(); ++i) {
    char row[24];
    std::snprintf(row, sizeof(row), "%010zu 00000 n \n", pdf.size());
    table += row;
    absl::StrAppend(&pdf, i + 1, " 0 obj\n", objects[i], "\nendobj\n");
  }
  const size_t table_at = pdf.size();
  absl::StrAppend(&pdf, table, "trailer\n<< /Size ", objects.size() + 1,
                  " /Root 1 0 R >>\nstartxref\n", table_at, "\n%%EOF\n");
  return pdf;
}

absl::StatusOr<Extracted> ExtractFile(std::string bytes, const std::string& file_name) {
  return Extract({std::move(bytes), "", file_name, "file"}, {});
}

ExtractedDocument OneDocument(std::string bytes, const std::string& file_name) {
  const auto extracted = ExtractFile(std::move(bytes), file_name);
  if (!extracted.ok()) return {"", "", absl::StrCat("FAILED: ", extracted.status().message())};
  if (extracted->documents.size() != 1) {
    return {"", "", absl::StrCat("NOT ONE: ", extracted->documents.size())};
  }
  return extracted->documents[0];
}

Reason::Reason ReasonOfFile(std::string bytes, const std::string& file_name) {
  const auto extracted = ExtractFile(std::move(bytes), file_name);
  return extracted.ok() ? Reason::REASON_UNSPECIFIED : ReasonOf(extracted.status());
}

}  // namespace aibackend::extract
