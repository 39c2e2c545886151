// Finds the words of a list.
#include <algorithm>
#include <bitset>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/base/text.h"
#include "server/guard/characters.h"
#include "server/guard/finder.h"
#include "unicode/uchar.h"
#include "unicode/unistr.h"

namespace aibackend::guard {
namespace {

constexpr size_t kWordBytesMax = 128;  // folded: well within kMatchBytesMax
constexpr size_t kWordsMax = 100'000;
// It may part words, as in Khmer, or hide one: both are looked at.
constexpr Character kZeroWidthSpace = 0x200B;

// Appends the character's full case folding, a blank for white space, nothing for what doesn't
// show.
void AppendFolded(Character c, std::string* out) {
  if (c < 0x80) {
    const bool is_space = c == ' ' || (c >= '\t' && c <= '\r');
    out->push_back(is_space ? ' ' : static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c));
  } else if (u_isUWhiteSpace(c) != 0) {
    out->push_back(' ');
  } else if (!IsIgnorable(c)) {
    icu::UnicodeString(c).foldCase().toUTF8String(*out);
  }
}

std::string FoldedWord(absl::string_view word) {
  std::string folded;
  for (size_t at = 0; at < word.size();) {
    const CharacterAt c = ReadCharacter(word, at);
    AppendFolded(c.value, &folded);
    const size_t size = folded.size();
    const bool is_space = size > 0 && folded.back() == ' ';
    if (is_space && (size == 1 || folded[size - 2] == ' ')) folded.pop_back();
    at = c.end;
  }
  if (!folded.empty() && folded.back() == ' ') folded.pop_back();
  return folded;
}

// The words that begin alike stand together in a sorted list: reading on narrows a range of it.
class WordFinder final : public Finder {
 public:
  // Folded and not empty.
  explicit WordFinder(std::vector<std::string> words) : words_(std::move(words)) {
    std::sort(words_.begin(), words_.end());
    words_.erase(std::unique(words_.begin(), words_.end()), words_.end());
    for (const std::string& word : words_) first_bytes_.set(static_cast<unsigned char>(word[0]));
  }

  absl::optional<Place> Find(const GrowingText& text) const override {
    std::string folded;
    for (size_t at = text.from; at < text.bytes.size();) {
      const CharacterAt c = ReadCharacter(text.bytes, at);
      if (c.value >= 0) {
        folded.clear();
        AppendFolded(c.value, &folded);
        const bool may_begin =
            !folded.empty() && first_bytes_[static_cast<unsigned char>(folded[0])];
        if (may_begin && !GoesOnAt(text.bytes, at, c.value)) {
          const auto place = WordAt(text, at);
          if (place) return place;
        }
      }
      at = c.end;
    }
    return absl::nullopt;
  }

 private:
  // A word that has begun before.
  static bool GoesOnAt(absl::string_view text, size_t at, Character c) {
    if (CharacterBefore(text, at).value == kZeroWidthSpace) return false;
    const size_t limit = at - std::min(at, kContextBytes);
    return AreOneWord(VisibleBefore(text, at, limit).value, c);
  }

  // The longest word from `start` on.
  absl::optional<Place> WordAt(const GrowingText& text, size_t start) const {
    absl::optional<Place> longest;
    const absl::string_view bytes = text.bytes;
    auto low = words_.begin();
    auto high = words_.end();
    std::string read;  // folded; all words in [low, high) begin with it
    CharacterAt last;  // that shows
    for (size_t at = start; at - start < kMatchBytesMax;) {
      if (at == bytes.size() && !text.is_all) return Place{start, at, false};
      const CharacterAt c = at < bytes.size() ? ReadCharacter(bytes, at) : CharacterAt();
      if (IsIgnorable(c.value)) {
        at = c.end;
        // Where they go on for longer than a match may, they are its end.
        const bool may_end = c.value == kZeroWidthSpace || at - start >= kMatchBytesMax;
        if (may_end && !read.empty() && *low == read) longest = {start, last.end};
        continue;
      }
      if (!read.empty() && *low == read && !AreOneWord(last.value, c.value)) {
        longest = {start, last.end};
      }
      if (c.value < 0) break;
      const size_t old_size = read.size();
      AppendFolded(c.value, &read);
      if (read.back() == ' ' && old_size > 0 && read[old_size - 1] == ' ') {
        read.pop_back();
      } else {
        std::tie(low, high) = Narrowed(low, high, read);
        if (low == high) break;
      }
      last = c;
      at = c.end;
    }
    return longest;
  }

  using Words = std::vector<std::string>;
  static std::pair<Words::const_iterator, Words::const_iterator> Narrowed(
      Words::const_iterator low, Words::const_iterator high, const std::string& prefix) {
    low = std::lower_bound(low, high, prefix);
    high = std::partition_point(low, high, [&](const std::string& word) {
      return word.compare(0, prefix.size(), prefix) == 0;
    });
    return {low, high};
  }

  Words words_;
  std::bitset<256> first_bytes_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Finder>> MakeWordFinder(const std::vector<std::string>& words) {
  if (words.empty()) return MakeError(Reason::FIELD_REQUIRED, "has no words");
  if (words.size() > kWordsMax) {
    return MakeError(Reason::FIELD_OUT_OF_RANGE,
                     absl::StrCat("has ", words.size(), " words; at most ", kWordsMax));
  }
  std::vector<std::string> folded;
  for (const std::string& word : words) {
    if (!IsValidUtf8(word)) return MakeError(Reason::FIELD_INVALID, "has a word that isn't UTF-8");
    folded.push_back(FoldedWord(word));
    if (folded.back().empty()) return MakeError(Reason::FIELD_INVALID, "has an empty word");
    if (folded.back().size() > kWordBytesMax) {
      return MakeError(Reason::FIELD_OUT_OF_RANGE,
                       absl::StrCat("has a word of more than ", kWordBytesMax,
                                    " bytes: ", Utf8Prefix(word, 32), "…"));
    }
  }
  return std::unique_ptr<Finder>(std::make_unique<WordFinder>(std::move(folded)));
}

}  // namespace aibackend::guard
