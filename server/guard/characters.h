// Characters of a UTF-8 text, one at a time. A byte that is part of none counts as one of its own.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace aibackend::guard {

using Character = int32_t;  // a code point; negative: no character, or a byte that is part of none

struct CharacterAt {
  Character value = -1;
  size_t start = 0;
  size_t end = 0;
};

// `at` is before the end.
CharacterAt ReadCharacter(absl::string_view text, size_t at);
// The one that ends at `at`; at the beginning of the text there is none.
CharacterAt CharacterBefore(absl::string_view text, size_t at);

// The last one before `at` that shows, looking through ignorable ones, but not at what begins
// before `limit`.
CharacterAt VisibleBefore(absl::string_view text, size_t at, size_t limit);

// The bytes at the end that are the beginning of a character: 0 to 3.
size_t CutCharacterBytes(absl::string_view text);

bool IsLetterOrDigit(Character c);  // in any script; marks and _ count, too

// Shows nothing by itself: zero-width spaces and joiners, soft hyphens, variation selectors
// (Unicode's Default_Ignorable_Code_Point).
bool IsIgnorable(Character c);

// Whether a word goes on from one to the other: both are letters or digits, in scripts that put
// spaces between words.
bool AreOneWord(Character left, Character right);

}  // namespace aibackend::guard
