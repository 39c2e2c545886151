#include "server/retrieval/sentences.h"

#include <unicode/brkiter.h>
#include <unicode/utext.h>

#include <algorithm>
#include <memory>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace aibackend::retrieval {
namespace {

// A line this long that ends in the middle of a sentence was wrapped by an editor, not ended.
constexpr size_t kWrappedLineCharsMin = 40;

bool IsBlank(absl::string_view line) {
  return absl::StripAsciiWhitespace(line).empty();
}

bool IsHeading(absl::string_view line) {
  return absl::StartsWith(line, "#");
}

// "- item", "* item", "• item", "12. item", "3) item", "| cell".
bool IsListItem(absl::string_view line) {
  for (const char* mark : {"- ", "* ", "+ ", "•", "|", "・"}) {
    if (absl::StartsWith(line, mark)) return true;
  }
  size_t digits = 0;
  while (digits < line.size() && digits < 4 && absl::ascii_isdigit(line[digits])) ++digits;
  return digits > 0 && digits + 1 < line.size() && (line[digits] == '.' || line[digits] == ')') &&
         line[digits + 1] == ' ';
}

struct Line {
  size_t start = 0;
  size_t end = 0;  // without the line break
  bool starts_paragraph = false;
  bool is_heading = false;
};

std::vector<Line> SplitLines(absl::string_view text) {
  std::vector<Line> lines;
  bool after_blank = true;
  for (size_t start = 0; start < text.size();) {
    size_t end = text.find('\n', start);
    if (end == absl::string_view::npos) end = text.size();
    const absl::string_view line =
        absl::StripLeadingAsciiWhitespace(text.substr(start, end - start));
    const bool is_heading = IsHeading(line);
    if (!IsBlank(line)) {
      lines.push_back({start, end, after_blank || is_heading || IsListItem(line), is_heading});
    }
    after_blank = IsBlank(line) || is_heading;
    start = end + 1;
  }
  return lines;
}

// True if the break after `line` only wraps it: the sentence may go on in the next line.
bool IsWrapped(absl::string_view text, const Line& line, const Line& next) {
  return !next.starts_paragraph &&
         CountCharacters(text.substr(line.start, line.end - line.start)) >= kWrappedLineCharsMin;
}

// True if a full stop at the end of `sentence` is an abbreviation's: "Dr.", "J.", "e.g.".
bool EndsInAbbreviation(absl::string_view sentence) {
  if (!absl::EndsWith(sentence, ".")) return false;
  sentence.remove_suffix(1);
  const size_t space = sentence.find_last_of(" \n\t(");
  const absl::string_view word =
      space == absl::string_view::npos ? sentence : sentence.substr(space + 1);
  static const auto* const abbreviations = new absl::flat_hash_set<absl::string_view>{
      "Dr",  "Mr",  "Mrs", "Ms",     "Prof", "St",  "Mt", "Gen", "Col", "Lt",   "Sgt", "Capt",
      "Rev", "Hon", "vs",  "e.g",    "i.e",  "cf",  "No", "Fig", "fig", "Figs", "Eq",  "eq",
      "ca",  "c",   "al",  "approx", "Vol",  "vol", "pp", "Jr",  "Sr",  "Sen",  "Rep", "Gov"};
  const bool is_initial = word.size() == 1 && absl::ascii_isupper(word[0]);
  return is_initial || abbreviations->contains(word);
}

// The ends of the sentences of `text`, a stretch without hard line breaks.
std::vector<size_t> SentenceEnds(icu::BreakIterator& breaks, absl::string_view text) {
  UErrorCode error = U_ZERO_ERROR;
  UText utext = UTEXT_INITIALIZER;
  utext_openUTF8(&utext, text.data(), static_cast<int64_t>(text.size()), &error);
  breaks.setText(&utext, error);
  std::vector<size_t> ends;
  if (U_SUCCESS(error)) {
    breaks.first();
    size_t start = 0;
    for (int32_t end = breaks.next(); end != icu::BreakIterator::DONE; end = breaks.next()) {
      const auto position = static_cast<size_t>(end);
      const absl::string_view sentence =
          absl::StripTrailingAsciiWhitespace(text.substr(start, position - start));
      if (position < text.size() && EndsInAbbreviation(sentence)) continue;
      ends.push_back(position);
      start = position;
    }
  }
  utext_close(&utext);
  if (ends.empty()) ends.push_back(text.size());
  return ends;
}

bool IsSpace(char c) {
  return absl::ascii_isspace(static_cast<unsigned char>(c));
}

// Removes white space at both ends, U+3000 (the wide space of Japanese) too.
void Trim(absl::string_view text, Sentence& sentence) {
  constexpr absl::string_view kWideSpace = "\xE3\x80\x80";
  const auto view = [&] { return text.substr(sentence.start, sentence.end - sentence.start); };
  for (bool changed = true; changed && sentence.start < sentence.end;) {
    changed = false;
    if (IsSpace(view().front())) ++sentence.start, changed = true;
    if (!view().empty() && IsSpace(view().back())) --sentence.end, changed = true;
    if (absl::StartsWith(view(), kWideSpace)) sentence.start += 3, changed = true;
    if (absl::EndsWith(view(), kWideSpace)) sentence.end -= 3, changed = true;
  }
}

}  // namespace

size_t CountCharacters(absl::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::vector<Sentence> SplitSentences(absl::string_view text) {
  UErrorCode error = U_ZERO_ERROR;
  const std::unique_ptr<icu::BreakIterator> breaks(
      icu::BreakIterator::createSentenceInstance(icu::Locale::getRoot(), error));
  // Wrapping line breaks become spaces, so that ICU doesn't end a sentence there. Offsets stay.
  std::string flat(text);
  std::replace(flat.begin(), flat.end(), '\n', ' ');
  std::replace(flat.begin(), flat.end(), '\r', ' ');

  std::vector<Sentence> sentences;
  const std::vector<Line> lines = SplitLines(text);
  for (size_t i = 0; i < lines.size();) {
    size_t last = i;
    while (last + 1 < lines.size() && IsWrapped(text, lines[last], lines[last + 1])) ++last;
    const absl::string_view stretch =
        absl::string_view(flat).substr(lines[i].start, lines[last].end - lines[i].start);
    size_t start = 0;
    const std::vector<size_t> ends = U_SUCCESS(error) && breaks != nullptr
                                         ? SentenceEnds(*breaks, stretch)
                                         : std::vector<size_t>{stretch.size()};
    for (const size_t end : ends) {
      Sentence sentence{lines[i].start + start, lines[i].start + end,
                        start == 0 && lines[i].starts_paragraph, start == 0 && lines[i].is_heading};
      Trim(text, sentence);
      if (sentence.start < sentence.end) sentences.push_back(sentence);
      start = end;
    }
    i = last + 1;
  }
  return sentences;
}

}  // namespace aibackend::retrieval
