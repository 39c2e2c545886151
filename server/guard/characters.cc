#include "server/guard/characters.h"

#include <algorithm>

#include "unicode/uchar.h"
#include "unicode/uscript.h"
#include "unicode/utf8.h"

namespace aibackend::guard {
namespace {

bool IsWrittenWithoutSpaces(Character c) {
  UErrorCode error = U_ZERO_ERROR;
  switch (uscript_getScript(c, &error)) {
    case USCRIPT_HAN:
    case USCRIPT_HIRAGANA:
    case USCRIPT_KATAKANA:
    case USCRIPT_THAI:
    case USCRIPT_LAO:
    case USCRIPT_KHMER:
    case USCRIPT_MYANMAR:
      return true;
    default:
      return false;
  }
}

}  // namespace

CharacterAt ReadCharacter(absl::string_view text, size_t at) {
  const absl::string_view window = text.substr(at, U8_MAX_LENGTH);
  CharacterAt read;
  int32_t index = 0;
  U8_NEXT(window.data(), index, static_cast<int32_t>(window.size()), read.value);
  if (read.value < 0) index = 1;  // an ill-formed sequence counts byte by byte
  read.start = at;
  read.end = at + static_cast<size_t>(index);
  return read;
}

CharacterAt CharacterBefore(absl::string_view text, size_t at) {
  CharacterAt read;
  if (at == 0) return read;
  const size_t from = at < U8_MAX_LENGTH ? 0 : at - U8_MAX_LENGTH;
  const absl::string_view window = text.substr(from, at - from);
  auto index = static_cast<int32_t>(window.size());
  U8_PREV(window.data(), 0, index, read.value);
  read.start = read.value < 0 ? at - 1 : from + static_cast<size_t>(index);
  read.end = at;
  return read;
}

CharacterAt VisibleBefore(absl::string_view text, size_t at, size_t limit) {
  for (;;) {
    const CharacterAt read = CharacterBefore(text, at);
    if (at == 0 || read.start < limit) return CharacterAt();
    if (!IsIgnorable(read.value)) return read;
    at = read.start;
  }
}

size_t CutCharacterBytes(absl::string_view text) {
  for (size_t bytes = 1; bytes <= std::min<size_t>(text.size(), 3); ++bytes) {
    const auto byte = static_cast<uint8_t>(text[text.size() - bytes]);
    if (U8_IS_TRAIL(byte)) continue;
    return static_cast<size_t>(U8_COUNT_TRAIL_BYTES(byte)) >= bytes ? bytes : 0;
  }
  return 0;
}

bool IsLetterOrDigit(Character c) {
  if (c < 0) return false;
  return c == '_' || u_isalnum(c) != 0 || (U_GET_GC_MASK(c) & U_GC_M_MASK) != 0;
}

bool IsIgnorable(Character c) {
  return c >= 0x80 && u_hasBinaryProperty(c, UCHAR_DEFAULT_IGNORABLE_CODE_POINT) != 0;
}

bool AreOneWord(Character left, Character right) {
  return IsLetterOrDigit(left) && IsLetterOrDigit(right) && !IsWrittenWithoutSpaces(left) &&
         !IsWrittenWithoutSpaces(right);
}

}  // namespace aibackend::guard
