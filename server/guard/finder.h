// What a rule looks for, in a text of which more may come.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace aibackend::guard {

// No match is longer, so that no more than this is ever held back for one. Of what a pattern would
// match beyond, the first 256 bytes are the match.
inline constexpr size_t kMatchBytesMax = 256;
// What finders see of the text before a place: four characters, so that some of them may be
// invisible.
inline constexpr size_t kContextBytes = 16;

struct GrowingText {
  absl::string_view bytes;  // UTF-8 that ends with a whole character
  size_t from = 0;          // in bytes: before it is context, without a match
  bool is_all = true;       // false: more may come
  uint64_t offset = 0;      // of bytes in the text that began it all
};

struct Place {
  size_t start = 0;  // in bytes
  size_t end = 0;
  bool is_match = true;  // false: only more text can tell whether there is a match, or how long
};

// Thread-safe.
//
// What a finder says of a place depends on kContextBytes before it and on what comes from it on,
// but not on how much of the text beyond is there: a match stays the same match, and where there
// was none there will be none.
class Finder {
 public:
  virtual ~Finder() = default;
  // The first place at or after `text.from`. At most kMatchBytesMax bytes and one character are
  // left open, and nothing where `text.is_all`.
  virtual absl::optional<Place> Find(const GrowingText& text) const = 0;
};

// Perl's syntax as RE2 has it, leftmost match, linear time. Refused: what doesn't compile, matches
// the empty text, or asks for single bytes (\C). Errors are words for after "the pattern ".
absl::StatusOr<std::unique_ptr<Finder>> MakeRegexFinder(absl::string_view pattern);
// Whole words (or phrases: any white space is one blank), compared by Unicode's full case folding.
// Where a word begins or ends in a script that is written without spaces (Han, Kana, Thai, Lao,
// Khmer, Myanmar), it is whole anywhere. Characters that show nothing (zero-width spaces, soft
// hyphens) are looked through. Errors are words for after "the blocklist ".
absl::StatusOr<std::unique_ptr<Finder>> MakeWordFinder(const std::vector<std::string>& words);
std::unique_ptr<Finder> MakeEmailFinder();
// +49 30 1234567, (030) 1234-567, 555-123-4567, 138 0013 8000: international with +, or national
// with separators. Numbers without either are none, nor are dates.
std::unique_ptr<Finder> MakePhoneFinder();
// 13 to 19 digits with single blanks or dashes between them, that pass Luhn's test. Of both kinds
// of numbers the digits may be full-width ones, blanks and dashes any, and what shows nothing is
// looked through.
std::unique_ptr<Finder> MakeCardFinder();
// What is beyond the first `bytes_max` bytes, from the character on that crosses them.
std::unique_ptr<Finder> MakeSizeFinder(size_t bytes_max);

}  // namespace aibackend::guard
