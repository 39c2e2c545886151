#include "server/extract/text_builder.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace aibackend::extract {
namespace {

constexpr absl::string_view kWhiteSpace = " \t\n\r\f";

}  // namespace

void TextBuilder::AddWords(absl::string_view text) {
  while (!text.empty()) {
    const size_t word = text.find_first_not_of(kWhiteSpace);
    if (word != 0) pending_space_ = true;
    if (word == absl::string_view::npos) return;
    text.remove_prefix(word);
    const size_t end = std::min(text.find_first_of(kWhiteSpace), text.size());
    Write(text.substr(0, end));
    text.remove_prefix(end);
  }
}

void TextBuilder::AddVerbatim(absl::string_view text) {
  if (!text.empty()) Write(text);
}

void TextBuilder::Mark(absl::string_view mark) {
  pending_mark_ = std::string(mark);
}

void TextBuilder::Break(int line_ends) {
  pending_line_ends_ = std::max(pending_line_ends_, line_ends);
  pending_mark_.clear();
}

void TextBuilder::Write(absl::string_view text) {
  const bool in_cell = !cells_.empty();
  std::string& out = in_cell ? cells_.back() : text_;
  absl::string_view gap;
  if (!out.empty()) {
    if (pending_line_ends_ > 0) {
      gap = in_cell ? " " : absl::string_view("\n\n").substr(0, pending_line_ends_);
    } else if (pending_space_) {
      gap = " ";
    }
  }
  if (text_.size() + cells_bytes_ + gap.size() + pending_mark_.size() + text.size() > bytes_max_) {
    full_ = true;
    return;
  }
  const size_t before = out.size();
  absl::StrAppend(&out, gap, pending_mark_, text);
  if (&out != &text_) cells_bytes_ += out.size() - before;
  pending_line_ends_ = 0;
  pending_space_ = false;
  pending_mark_.clear();
}

void TextBuilder::BeginRow() {
  if (row_depth_++ > 0) return;
  line_ends_before_row_ = std::max(pending_line_ends_, 1);
}

void TextBuilder::BeginCell() {
  if (row_depth_ > 1) return BreakLine();
  if (row_depth_ == 0) return;
  pending_line_ends_ = 0;
  pending_space_ = false;
  pending_mark_.clear();
  cells_.emplace_back();
  cells_bytes_ += sizeof(std::string);  // a million empty cells cost something too
  full_ = full_ || cells_bytes_ > bytes_max_;
  if (full_) cells_.resize(1);
}

void TextBuilder::EndRow() {
  if (row_depth_ == 0 || --row_depth_ > 0) return;
  std::vector<std::string> cells = std::move(cells_);
  cells_.clear();
  cells_bytes_ = 0;
  const bool is_blank =
      std::all_of(cells.begin(), cells.end(), [](const std::string& cell) { return cell.empty(); });
  pending_line_ends_ = line_ends_before_row_;
  pending_space_ = false;
  pending_mark_.clear();
  if (is_blank) return;
  Write(cells.size() == 1 ? cells[0] : absl::StrCat("| ", absl::StrJoin(cells, " | "), " |"));
  BreakLine();
}

}  // namespace aibackend::extract
