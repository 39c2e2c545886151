#include <csv.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "nlohmann/json.hpp"
#include "server/extract/cpu_budget.h"
#include "server/extract/document_list.h"
#include "server/extract/records.h"

namespace aibackend::extract {
namespace {

// A table wider than this is a matrix of numbers, not something to cite; and names are looked up by
// walking through them.
constexpr size_t kColumnsMax = 1024;
constexpr size_t kPieceBytes = 64 << 10;  // the parser's buffer grows by it, and time is checked

using Row = std::vector<std::string>;

char DelimiterOf(absl::string_view csv) {
  const absl::string_view header = csv.substr(0, csv.find_first_of("\r\n"));
  char best = ',';
  std::ptrdiff_t most = 0;
  for (const char delimiter : {',', ';', '\t'}) {
    const auto count = std::count(header.begin(), header.end(), delimiter);
    if (count > most) best = delimiter;
    most = std::max(most, count);
  }
  return best;
}

// Makes documents of rows as they come.
class Table {
 public:
  explicit Table(const ExtractLimits& limits) : limits_(limits), documents_(limits) {}

  absl::Status AddRow(Row row) {
    if (header_.empty()) return SetHeader(std::move(row));
    ++rows_;
    if (row.size() > header_.size()) {
      return Damaged(absl::StrCat("row ", rows_, " of the CSV has ", row.size(),
                                  " fields, its header ", header_.size()));
    }
    return text_column_ ? AddDocument(std::move(row)) : AddParagraph(row);
  }

  absl::StatusOr<Documents> Finish() {
    if (rows_ == 0) return Damaged("the CSV holds no rows below its header");
    if (!text_column_) {
      ExtractedDocument document;
      document.text = std::move(paragraphs_);
      AIB_RETURN_IF_ERROR(documents_.Add(std::move(document)));
    }
    return documents_.Take();
  }

 private:
  absl::Status SetHeader(Row row) {
    if (row.size() > kColumnsMax) {
      return TooLarge(absl::StrCat("the CSV has more than ", kColumnsMax, " columns"));
    }
    header_ = std::move(row);
    for (size_t i = 0; i < header_.size(); ++i) {
      if (header_[i].empty()) header_[i] = absl::StrCat("column ", i + 1);
      if (NameOf(i) == kTextField) text_column_ = i;
      names_.push_back(NameOf(i));
    }
    return absl::OkStatus();
  }

  // The name of a document's own field, or empty: looked up once, not in every row.
  absl::string_view NameOf(size_t column) const {
    for (const absl::string_view name : {kTextField, kIdField, kTitleField, kSourceField}) {
      if (absl::EqualsIgnoreCase(header_[column], name)) return name;
    }
    return {};
  }

  absl::Status AddDocument(Row row) {
    row.resize(header_.size());
    if (absl::StripAsciiWhitespace(row[*text_column_]).empty()) {
      return Damaged(absl::StrCat("row ", rows_, " of the CSV has no text"));
    }
    ExtractedDocument document;
    nlohmann::json metadata = nlohmann::json::object();
    for (size_t i = 0; i < row.size(); ++i) {
      if (i == *text_column_) {
        document.text = std::move(row[i]);
      } else if (names_[i] == kIdField) {
        document.id = std::move(row[i]);
      } else if (names_[i] == kTitleField) {
        document.title = std::move(row[i]);
      } else if (names_[i] == kSourceField) {
        document.source = std::move(row[i]);
      } else if (!row[i].empty()) {
        metadata[header_[i]] = std::move(row[i]);
      }
    }
    if (!metadata.empty()) document.metadata = metadata.dump();
    return documents_.Add(std::move(document));
  }

  absl::Status AddParagraph(const Row& row) {
    if (!paragraphs_.empty()) paragraphs_.push_back('\n');
    for (size_t i = 0; i < row.size(); ++i) {
      if (!row[i].empty()) absl::StrAppend(&paragraphs_, header_[i], ": ", row[i], "\n");
      if (paragraphs_.size() > limits_.text_bytes_max) {
        return TooLarge("the CSV holds too much text");
      }
    }
    return absl::OkStatus();
  }

  const ExtractLimits& limits_;
  DocumentList documents_;
  Row header_;
  std::vector<absl::string_view> names_;  // of each column
  absl::optional<size_t> text_column_;
  size_t rows_ = 0;
  std::string paragraphs_;
};

// libcsv's parser, and what its callbacks work on.
class CsvReader {
 public:
  CsvReader(Table& table, char delimiter) : table_(table) {
    csv_init(&parser_, 0);  // a quote within an unquoted field, as in 5" pipe, stands for itself
    csv_set_delim(&parser_, static_cast<unsigned char>(delimiter));
    csv_set_blk_size(&parser_, kPieceBytes);
  }
  ~CsvReader() { csv_free(&parser_); }
  CsvReader(const CsvReader&) = delete;
  CsvReader& operator=(const CsvReader&) = delete;

  absl::Status Feed(absl::string_view piece) {
    if (csv_parse(&parser_, piece.data(), piece.size(), &OnField, &OnRow, this) != piece.size()) {
      return TooLarge("reading the CSV takes too much memory");
    }
    return status_;
  }

  absl::Status Finish() {
    // An unclosed quote would have swallowed the rest of the file unseen.
    csv_set_opts(&parser_, CSV_STRICT | CSV_STRICT_FINI);
    if (csv_fini(&parser_, &OnField, &OnRow, this) != 0) {
      return Damaged("the CSV ends within a quoted field");
    }
    return status_;
  }

 private:
  static void OnField(void* bytes, size_t size, void* self) {
    auto& reader = *static_cast<CsvReader*>(self);
    // One more than a table may have is enough to refuse it.
    if (!reader.status_.ok() || reader.row_.size() > kColumnsMax) return;
    reader.row_.emplace_back(static_cast<const char*>(bytes), size);
  }

  static void OnRow(int, void* self) {
    auto& reader = *static_cast<CsvReader*>(self);
    if (reader.status_.ok()) reader.status_ = reader.table_.AddRow(std::move(reader.row_));
    reader.row_.clear();
  }

  Table& table_;
  csv_parser parser_{};
  Row row_;
  absl::Status status_;
};

}  // namespace

absl::StatusOr<Documents> ExtractCsv(absl::string_view csv, const ExtractLimits& limits) {
  const CpuBudget cpu(limits.cpu_max);
  Table table(limits);
  CsvReader reader(table, DelimiterOf(csv));
  for (size_t at = 0; at < csv.size(); at += kPieceBytes) {
    if (cpu.IsSpent()) return TooLarge("reading the CSV takes too long");
    AIB_RETURN_IF_ERROR(reader.Feed(csv.substr(at, kPieceBytes)));
  }
  AIB_RETURN_IF_ERROR(reader.Finish());
  return table.Finish();
}

}  // namespace aibackend::extract
