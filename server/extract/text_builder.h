// Puts a text together from what a parser of HTML or DOCX meets, in order.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace aibackend::extract {

// Breaks are wishes: several of them make one, none stands at the start or the end. Not
// thread-safe.
class TextBuilder {
 public:
  // Text beyond `bytes_max` is dropped, and full() says so.
  explicit TextBuilder(size_t bytes_max) : bytes_max_(bytes_max) {}

  // UTF-8 in which a run of white space is one space, as in HTML.
  void AddWords(absl::string_view text);
  // UTF-8 as it stands.
  void AddVerbatim(absl::string_view text);
  void BreakLine() { Break(1); }
  void BreakParagraph() { Break(2); }
  // Written before the text that comes next, if any comes before the next break: "# " or "- ".
  void Mark(absl::string_view mark);

  // A row of a table becomes one line, "| a | b |"; of one cell, that cell. Breaks within a cell
  // are spaces. Rows within a row's cell only add to it.
  void BeginRow();
  void BeginCell();
  void EndRow();

  [[nodiscard]] bool full() const { return full_; }
  std::string Take() { return std::move(text_); }

 private:
  void Break(int line_ends);
  void Write(absl::string_view text);

  const size_t bytes_max_;
  std::string text_;
  int pending_line_ends_ = 0;
  bool pending_space_ = false;
  std::string pending_mark_;
  int row_depth_ = 0;
  int line_ends_before_row_ = 0;
  std::vector<std::string> cells_;  // of the row that is open
  size_t cells_bytes_ = 0;
  bool full_ = false;
};

}  // namespace aibackend::extract
