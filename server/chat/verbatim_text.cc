#include "server/chat/verbatim_text.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <cstdint>

#include "absl/strings/strip.h"

namespace aibackend::chat {
namespace {

constexpr int kQuoteWordsMin = 3;
constexpr int kQuoteUnspacedMin = 8;

struct Character {
  UChar32 code = 0;  // negative: bytes that are no UTF-8
  size_t bytes = 0;
};

Character CharacterAt(absl::string_view text, size_t at) {
  const auto* const bytes = reinterpret_cast<const uint8_t*>(text.data());
  auto next = static_cast<int32_t>(at);
  Character character;
  U8_NEXT(bytes, next, static_cast<int32_t>(text.size()), character.code);
  character.bytes = static_cast<size_t>(next) - at;
  return character;
}

Character CharacterBefore(absl::string_view text, size_t end) {
  const auto* const bytes = reinterpret_cast<const uint8_t*>(text.data());
  auto start = static_cast<int32_t>(end);
  Character character;
  U8_PREV(bytes, 0, start, character.code);
  character.bytes = end - static_cast<size_t>(start);
  return character;
}

bool IsSpace(UChar32 code) {
  return code >= 0 && u_isUWhiteSpace(code) != 0;
}

// Of a script that doesn't put spaces between words, or not between all (UAX 14, SA and ID).
bool IsUnspaced(UChar32 code) {
  if (code < 0x0E00) return false;
  switch (u_getIntPropertyValue(code, UCHAR_LINE_BREAK)) {
    case U_LB_COMPLEX_CONTEXT:
    case U_LB_IDEOGRAPHIC:
    case U_LB_CONDITIONAL_JAPANESE_STARTER:
    case U_LB_H2:
    case U_LB_H3:
      return u_isalpha(code) != 0;
    default:
      return false;
  }
}

// Two of them side by side are one word.
bool JoinsWords(UChar32 code) {
  return code >= 0 && u_isalnum(code) != 0 && !IsUnspaced(code);
}

char StraightQuote(UChar32 code) {
  if (code >= 0x2018 && code <= 0x201B) return '\'';
  if (code >= 0x201C && code <= 0x201F) return '"';
  return 0;
}

// `starts` may be null.
std::string Normal(absl::string_view text, std::vector<size_t>* starts) {
  std::string normal;
  for (size_t at = 0; at < text.size();) {
    const Character character = CharacterAt(text, at);
    const char straight = StraightQuote(character.code);
    const size_t before = normal.size();
    if (IsSpace(character.code)) {
      if (normal.empty() || normal.back() != ' ') normal += ' ';
    } else if (straight != 0) {
      normal += straight;
    } else {
      normal.append(text.data() + at, character.bytes);
    }
    if (starts != nullptr) starts->insert(starts->end(), normal.size() - before, at);
    at += character.bytes;
  }
  if (starts != nullptr) starts->push_back(text.size());
  return normal;
}

absl::string_view WithoutEndPunctuation(absl::string_view quote) {
  static constexpr absl::string_view kMarks[] = {".", ",",  ";",  ":",  "!",  "?",
                                                 "…", "。", "、", "，", "！", "？"};
  for (bool is_changed = true; is_changed;) {
    is_changed = absl::ConsumeSuffix(&quote, " ");
    for (const absl::string_view mark : kMarks) {
      is_changed = absl::ConsumeSuffix(&quote, mark) || is_changed;
    }
  }
  return quote;
}

bool HasWord(absl::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const Character character = CharacterAt(text, at);
    if (character.code >= 0 && u_isalnum(character.code) != 0) return true;
    at += character.bytes;
  }
  return false;
}

}  // namespace

VerbatimText::VerbatimText(absl::string_view text) {
  normal_ = Normal(text, &starts_);
}

absl::optional<retrieval::Span> VerbatimText::Find(absl::string_view quote) const {
  const std::string normal = Normal(quote, nullptr);
  absl::string_view wanted = normal;
  absl::ConsumePrefix(&wanted, " ");
  absl::ConsumeSuffix(&wanted, " ");
  if (!HasWord(wanted)) return absl::nullopt;
  auto found = FindExactly(wanted);
  if (!found) found = FindExactly(WithoutEndPunctuation(wanted));
  return found;
}

absl::optional<retrieval::Span> VerbatimText::FindExactly(absl::string_view wanted) const {
  const absl::string_view all = normal_;
  const bool word_first = JoinsWords(CharacterAt(wanted, 0).code);
  const bool word_last = JoinsWords(CharacterBefore(wanted, wanted.size()).code);
  for (size_t at = all.find(wanted); at != absl::string_view::npos; at = all.find(wanted, at + 1)) {
    const size_t end = at + wanted.size();
    // Bytes of a quote that is no UTF-8 may match in the middle of a character.
    const bool is_whole = (at == 0 || starts_[at] != starts_[at - 1]) &&
                          (end == all.size() || starts_[end] != starts_[end - 1]);
    const bool cuts_first = word_first && at > 0 && JoinsWords(CharacterBefore(all, at).code);
    const bool cuts_last = word_last && end < all.size() && JoinsWords(CharacterAt(all, end).code);
    if (is_whole && !cuts_first && !cuts_last) return retrieval::Span{starts_[at], starts_[end]};
  }
  return absl::nullopt;
}

bool IsPassageQuote(absl::string_view quote) {
  int words = 0;
  int unspaced = 0;
  bool in_word = false;
  for (size_t at = 0; at < quote.size();) {
    const Character character = CharacterAt(quote, at);
    if (IsUnspaced(character.code)) ++unspaced;
    if (IsSpace(character.code)) {
      in_word = false;
    } else if (!in_word && JoinsWords(character.code)) {
      in_word = true;
      ++words;
    }
    at += character.bytes;
  }
  return words >= kQuoteWordsMin || unspaced >= kQuoteUnspacedMin;
}

}  // namespace aibackend::chat
