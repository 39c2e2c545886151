#include "server/chat/cited_text.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace aibackend::chat {
namespace {

using models::CitationMarker;
using models::MarkerKind;

constexpr size_t kFenceLengthMin = 3;  // CommonMark, section 4.5
constexpr size_t kFenceIndentMax = 3;
// Of citations of words: a thousand are no answer's. Beyond, whole passages are cited.
constexpr size_t kWordsMax = 1000;

// What a mark holds before its quote, but for its bracket.
constexpr absl::string_view kInsideMark = "0123456789,: \t\n\r\v\f";
constexpr absl::string_view kGap = "…";

size_t RunOf(absl::string_view text, char c) {
  return std::min(text.find_first_not_of(c), text.size());
}

// Where a link leads begins like one of these; what else stands in round brackets is a remark.
constexpr absl::string_view kDestinations[] = {"(http://", "(https://", "(mailto:", "(/", "(#"};

enum class LinkKind { kNone, kLink, kUndecided };

LinkKind LinkAt(absl::string_view text, bool is_all) {
  if (text.empty()) return is_all ? LinkKind::kNone : LinkKind::kUndecided;
  for (const absl::string_view destination : kDestinations) {
    if (absl::StartsWith(text, destination)) return LinkKind::kLink;
    if (!is_all && absl::StartsWith(destination, text)) return LinkKind::kUndecided;
  }
  return LinkKind::kNone;
}

bool IsWordByte(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
         !absl::ascii_isascii(static_cast<unsigned char>(c));
}

models::Citation CitationOf(const models::Passage& passage, size_t number, retrieval::Span words) {
  models::Citation citation;
  citation.document_id = passage.document_id;
  citation.chunk_id = passage.chunk_id;
  citation.title = passage.title;
  citation.source = passage.source;
  citation.text = passage.text.substr(words.start, words.end - words.start);
  citation.start = passage.start + words.start;
  citation.end = passage.start + words.end;
  citation.number = static_cast<int>(number);
  return citation;
}

}  // namespace

CitedText::CitedText(const std::vector<models::Passage>& passages)
    : passages_(passages), cited_(passages.size()), searchable_(passages.size()) {}

void CitedText::Take(absl::string_view text, std::string* out) {
  if (interrupted_ && !text.empty()) EmitGap(out);
  held_.append(text.data(), text.size());
  Scan(false, out);
}

void CitedText::Flush(std::string* out) {
  Scan(true, out);
  interrupted_ = open_end_;
}

std::vector<models::Citation> CitedText::Citations() const {
  std::vector<models::Citation> citations;
  for (size_t i = 0; i < cited_.size(); ++i) {
    const models::Passage& passage = passages_[i];
    if (cited_[i].whole) citations.push_back(CitationOf(passage, i + 1, {0, passage.text.size()}));
    std::vector<retrieval::Span> words = cited_[i].words;
    std::sort(words.begin(), words.end(), [](const auto& a, const auto& b) {
      return std::make_pair(a.start, a.end) < std::make_pair(b.start, b.end);
    });
    for (const retrieval::Span& span : words) {
      citations.push_back(CitationOf(passage, i + 1, span));
    }
  }
  return citations;
}

// What decides about the text at hand; more of it never counts, so that pieces don't matter.
absl::string_view CitedText::Window() const {
  return absl::string_view(held_).substr(at_, kHeldBytesMax);
}

bool CitedText::WindowIsAll(bool is_all) const {
  return is_all || held_.size() - at_ >= kHeldBytesMax;
}

void CitedText::Emit(size_t bytes, std::string* out) {
  const absl::string_view text = absl::string_view(held_).substr(at_, bytes);
  if (text.empty()) return;
  fence_ != 0 ? quotes_.Break() : quotes_.Feed(text);
  out->append(text.data(), text.size());
  at_line_start_ = text.back() == '\n';
  const size_t last = text.find_last_not_of(kInsideMark);
  if (last != absl::string_view::npos) open_end_ = text[last] == '[';
  at_ += bytes;
}

// So that what was given out and what comes next are no mark together.
void CitedText::EmitGap(std::string* out) {
  interrupted_ = false;
  if (!std::exchange(open_end_, false)) return;
  quotes_.Feed(kGap);
  absl::StrAppend(out, kGap);
}

void CitedText::Scan(bool is_all, std::string* out) {
  Step step = Step::kGoOn;
  while (step == Step::kGoOn && at_ < held_.size()) {
    const absl::string_view rest = absl::string_view(held_).substr(at_);
    const size_t spaces = RunOf(rest.substr(0, 2), ' ');
    if (fence_ != 0) {
      step = TakeFenceLine(is_all, out);
    } else if (at_line_start_) {
      step = TakeFence(is_all, out);
    } else if (rest[0] == '`') {
      step = TakeCode(is_all, out);
    } else if (rest[0] == '[') {
      step = TakeMarker(0, is_all, out);
    } else if (spaces == 1) {
      if (rest.size() == 1 && !is_all) {
        step = Step::kWait;
      } else if (rest.size() > 1 && rest[1] == '[') {
        step = TakeMarker(1, is_all, out);
      } else {
        Emit(1, out);
      }
    } else {
      const size_t next = std::min(rest.find_first_of(" `[\n", 1), rest.size());
      // A line break begins the next line, and what comes after it is looked at anew.
      const bool is_break = next < rest.size() && rest[next] == '\n';
      Emit(rest[0] == '\n' ? 1 : next + (is_break ? 1 : 0), out);
    }
  }
  held_.erase(0, at_);
  at_ = 0;
}

// At the start of a line: a fence opens here, or the line is text.
CitedText::Step CitedText::TakeFence(bool is_all, std::string* out) {
  const absl::string_view window = Window();
  const bool window_is_all = WindowIsAll(is_all);
  const size_t indent = RunOf(window, ' ');
  at_line_start_ = false;
  if (indent > kFenceIndentMax) return Step::kGoOn;
  const auto wait = [&] {
    at_line_start_ = !window_is_all;
    return window_is_all ? Step::kGoOn : Step::kWait;
  };
  if (indent == window.size()) return wait();
  const char c = window[indent];
  if (c != '`' && c != '~') return Step::kGoOn;
  const size_t length = RunOf(window.substr(indent), c);
  if (indent + length == window.size()) return wait();
  if (length < kFenceLengthMin) return Step::kGoOn;
  const size_t line_end = window.find('\n');
  const absl::string_view info = window.substr(indent + length, line_end - indent - length);
  if (c == '`' && absl::StrContains(info, '`')) return Step::kGoOn;  // code in the line
  if (line_end == absl::string_view::npos && !is_all) return wait();
  fence_ = c;
  fence_length_ = length;
  Emit(std::min(line_end, window.size() - 1) + 1, out);
  return Step::kGoOn;
}

// Inside a fence, which a line of its own closes.
CitedText::Step CitedText::TakeFenceLine(bool is_all, std::string* out) {
  const absl::string_view window = Window();
  if (at_line_start_) {
    const bool window_is_all = WindowIsAll(is_all);
    const size_t indent = RunOf(window, ' ');
    const size_t length = RunOf(window.substr(indent), fence_);
    const size_t end = indent + length + RunOf(window.substr(indent + length), ' ');
    const bool can_close = indent <= kFenceIndentMax;
    if (can_close && end == window.size() && !window_is_all) return Step::kWait;
    const bool is_line = end == window.size() ? is_all : window[end] == '\n';
    if (can_close && length >= fence_length_ && is_line) fence_ = 0;
  }
  const absl::string_view rest = absl::string_view(held_).substr(at_);
  Emit(std::min(rest.find('\n'), rest.size() - 1) + 1, out);
  return Step::kGoOn;
}

// Between as many backticks as begin here, or these are text.
CitedText::Step CitedText::TakeCode(bool is_all, std::string* out) {
  const absl::string_view window = Window();
  const absl::string_view line = window.substr(0, window.find('\n'));
  const size_t length = RunOf(line, '`');
  for (size_t at = length; at < line.size();) {
    const size_t run = RunOf(line.substr(at), '`');
    const bool is_cut = at + run == window.size() && !WindowIsAll(is_all);
    if (run == length && !is_cut) {
      Emit(at + run, out);
      return Step::kGoOn;
    }
    at = std::min(line.find('`', at + run), line.size());
  }
  if (line.size() == window.size() && !WindowIsAll(is_all)) return Step::kWait;
  Emit(length, out);
  return Step::kGoOn;
}

// At '[', or one space before it.
CitedText::Step CitedText::TakeMarker(size_t spaces, bool is_all, std::string* out) {
  const absl::string_view window = Window().substr(spaces);
  const bool window_is_all = WindowIsAll(is_all);
  CitationMarker marker;
  switch (models::ReadMarker(window, window_is_all, &marker)) {
    case MarkerKind::kUndecided:
      return Step::kWait;
    case MarkerKind::kText:
      Emit(spaces + 1, out);
      return Step::kGoOn;
    case MarkerKind::kBroken:
      ++dropped_;
      Emit(spaces, out);
      EmitGap(out);
      at_ += marker.bytes;
      return Step::kGoOn;
    case MarkerKind::kMarker:
      break;
  }
  if (!marker.quote) {
    const LinkKind link = LinkAt(window.substr(marker.bytes), window_is_all);
    if (link == LinkKind::kUndecided) return Step::kWait;
    if (link == LinkKind::kLink) {
      Emit(spaces + marker.bytes, out);
      return Step::kGoOn;
    }
  } else if (window.size() == marker.bytes && !window_is_all) {
    return Step::kWait;  // what follows decides about the space before it
  }
  TakeMark(marker, marker.bytes, spaces, out);
  return Step::kGoOn;
}

void CitedText::TakeMark(const CitationMarker& marker, size_t bytes, size_t spaces,
                         std::string* out) {
  std::string kept;
  for (const size_t number : marker.numbers) {
    if (Cite(marker, number)) {
      absl::StrAppend(&kept, "[", number, "]");
    } else {
      ++dropped_;
    }
  }
  const size_t end = at_ + spaces + bytes;
  const bool joins_words = end < held_.size() && IsWordByte(held_[end]);
  if (!kept.empty() || joins_words) {
    Emit(spaces, out);
  } else {
    at_ += spaces;
  }
  if (kept.empty()) EmitGap(out);
  if (!kept.empty()) open_end_ = false;
  out->append(kept);
  at_ += bytes;
}

// False: passage `number` isn't there, or doesn't hold what is quoted.
bool CitedText::Cite(const CitationMarker& marker, size_t number) {
  if (number < 1 || number > passages_.size()) return false;
  const auto quote = quotes_.Latest();
  if (quote && IsPassageQuote(*quote) && (quotes_.is_cut() || !Holds(number, *quote))) return false;
  Cited& cited = cited_[number - 1];
  if (!marker.quote) {
    cited.whole = true;
    return true;
  }
  const auto words = Searchable(number).Find(*marker.quote);
  if (!words) return false;
  if (std::find(cited.words.begin(), cited.words.end(), *words) != cited.words.end()) return true;
  if (words_ == kWordsMax) {
    cited.whole = true;
    return true;
  }
  ++words_;
  cited.words.push_back(*words);
  return true;
}

bool CitedText::Holds(size_t number, absl::string_view quote) {
  return Searchable(number).Find(quote) || VerbatimText(passages_[number - 1].title).Find(quote);
}

const VerbatimText& CitedText::Searchable(size_t number) {
  auto& text = searchable_[number - 1];
  if (!text) text.emplace(passages_[number - 1].text);
  return *text;
}

}  // namespace aibackend::chat
