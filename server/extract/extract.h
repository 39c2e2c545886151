// From the bytes of a file to the text that is stored and cited.
//
// Reads plain text, Markdown, HTML, PDF, DOCX, CSV/TSV, JSON and JSONL. The bytes are hostile:
// time, memory and output are bounded by ExtractLimits whatever they are.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace aibackend::extract {

struct ExtractRequest {
  std::string bytes;
  // Either may be empty. A type that says nothing (empty, application/octet-stream, text/plain)
  // yields to the name's ending; where neither tells, the bytes do.
  std::string content_type;
  std::string file_name;
  // What errors name as the field at fault, such as "documents[2]"; may be empty.
  std::string field;
};

struct ExtractLimits {
  size_t input_bytes_max = 32 << 20;  // what one message of the contract carries; < 2 GiB
  size_t text_bytes_max = 8 << 20;    // a document's text, as documents.proto says
  // All that a file's documents hold together: rows repeat their header's names, so that a small
  // file could become a large one.
  size_t total_bytes_max = 64 << 20;
  size_t documents_max = 1000;  // what one AddDocuments takes
  // Of a thread here, and again of the child that reads a PDF. A 500-page book takes about 2 s.
  absl::Duration cpu_max = absl::Seconds(20);
  // The child's, from its start: it may wait for a processor on a machine that is busy.
  absl::Duration wall_max = absl::Seconds(40);
  // The parsed tree of an HTML page (ten to twenty times its bytes); the child's address space.
  size_t memory_bytes_max = 768 << 20;
  // What a DOCX's parts may inflate to, each; and how many times their file's size. Real text
  // deflates about tenfold, a zip bomb a thousandfold.
  size_t inflated_bytes_max = 128 << 20;
  size_t inflation_ratio_max = 200;
};

// Strings are well-formed UTF-8 with LF line ends and no control characters but LF and tab.
// Characters are not normalised (NFC): what is cited must be what the file says.
struct ExtractedDocument {
  std::string id;        // of JSON, JSONL and CSV rows that have one; else empty
  std::string title;     // what the file itself says; else empty
  std::string text;      // never empty or blank
  std::string source;    // as id
  std::string metadata;  // a JSON object, or empty
};

struct Extracted {
  std::string format;  // text, markdown, html, pdf, docx, csv, json or jsonl
  // One, unless the file is CSV, JSON or JSONL of records with a text: then one for each record. At
  // least one, in the file's order.
  std::vector<ExtractedDocument> documents;
};

// Blocks while it works (up to cpu_max; for a PDF up to wall_max): call it on an executor's thread.
// Thread-safe. Fails with
//   UNSUPPORTED_MEDIA_TYPE  it is none of these formats, or binary, or PDFs can't be read here
//   REQUEST_TOO_LARGE       it, or its text, is beyond a limit: size, documents, time or memory
//   FIELD_INVALID           it is damaged, encrypted or holds no text
// with a message for the person who sent the file: our words, and no path or output of a tool.
absl::StatusOr<Extracted> Extract(const ExtractRequest& request, const ExtractLimits& limits);

// The program that reads PDFs, of Debian's poppler-utils. It need not be there.
constexpr char kPdfToTextPath[] = "/usr/bin/pdftotext";

}  // namespace aibackend::extract
