#include "server/models/citation_marker.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"

namespace aibackend::models {
namespace {

constexpr absl::string_view kQuotationMarks[] = {"\"", "'", "“",  "”",  "„",  "‘", "’",
                                                 "«",  "»", "「", "」", "『", "』"};
constexpr size_t kNumberDigitsMax = 9;

// Reads forward through what may be a mark.
class Reader {
 public:
  Reader(absl::string_view text, bool is_all)
      : text_(text.substr(0, kMarkerBytesMax)), is_all_(is_all || text.size() >= kMarkerBytesMax) {}

  MarkerKind Read(CitationMarker* marker) {
    for (bool is_first = true;; is_first = false) {
      if (!ReadNumber(marker)) return at_end() ? Undecided() : MarkerKind::kText;
      SkipSpace();
      if (at_end()) return Undecided();
      const char c = text_[at_++];
      if (c == ']') return EndOfNumbers(marker);
      if (c == ':' && is_first) return ReadQuote(marker);
      if (c != ',') return MarkerKind::kText;
    }
  }

 private:
  bool at_end() const { return at_ == text_.size(); }
  MarkerKind Undecided() const { return is_all_ ? MarkerKind::kText : MarkerKind::kUndecided; }

  void SkipSpace() {
    while (!at_end() && absl::ascii_isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
  }

  bool ReadNumber(CitationMarker* marker) {
    SkipSpace();
    const size_t begin = at_;
    while (!at_end() && absl::ascii_isdigit(static_cast<unsigned char>(text_[at_]))) ++at_;
    if (at_ == begin || at_end()) return false;
    uint32_t number = 0;
    const absl::string_view digits = text_.substr(begin, at_ - begin);
    if (digits.size() > kNumberDigitsMax || !absl::SimpleAtoi(digits, &number)) number = 0;
    has_zero_ = has_zero_ || digits == "0";
    marker->numbers.push_back(number);
    return true;
  }

  MarkerKind EndOfNumbers(CitationMarker* marker) const {
    if (has_zero_ && marker->numbers.size() > 1) return MarkerKind::kText;
    marker->bytes = at_;
    return MarkerKind::kMarker;
  }

  MarkerKind ReadQuote(CitationMarker* marker) {
    SkipSpace();
    const absl::string_view rest = text_.substr(at_);
    const size_t mark = QuotationMarkAt(rest);
    if (mark == 0) {
      // A quotation mark may be coming, of which a part is here.
      const bool may_come = rest.empty() || CanBeginMark(rest);
      return may_come ? Undecided() : MarkerKind::kText;
    }
    marker->bytes = at_;
    at_ += mark;
    const size_t begin = at_;
    int depth = 0;
    for (; !at_end(); ++at_) {
      if (text_[at_] == '[') ++depth;
      if (text_[at_] != ']' || depth-- > 0) continue;
      const absl::string_view inside =
          absl::StripTrailingAsciiWhitespace(text_.substr(begin, at_ - begin));
      const size_t closing = QuotationMarkBefore(inside);
      if (closing == 0) return MarkerKind::kBroken;
      marker->quote = inside.substr(0, inside.size() - closing);
      marker->bytes = at_ + 1;
      return MarkerKind::kMarker;
    }
    return is_all_ ? MarkerKind::kBroken : MarkerKind::kUndecided;
  }

  static bool CanBeginMark(absl::string_view rest) {
    for (const absl::string_view mark : kQuotationMarks) {
      if (rest.size() < mark.size() && absl::StartsWith(mark, rest)) return true;
    }
    return false;
  }

  const absl::string_view text_;
  const bool is_all_;
  size_t at_ = 1;  // after the bracket
  bool has_zero_ = false;
};

}  // namespace

MarkerKind ReadMarker(absl::string_view text, bool is_all, CitationMarker* marker) {
  *marker = CitationMarker();
  return Reader(text, is_all).Read(marker);
}

size_t QuotationMarkAt(absl::string_view text) {
  for (const absl::string_view mark : kQuotationMarks) {
    if (absl::StartsWith(text, mark)) return mark.size();
  }
  return 0;
}

size_t QuotationMarkBefore(absl::string_view text) {
  for (const absl::string_view mark : kQuotationMarks) {
    if (absl::EndsWith(text, mark)) return mark.size();
  }
  return 0;
}

}  // namespace aibackend::models
