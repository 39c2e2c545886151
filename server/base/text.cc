#include "server/base/text.h"

namespace aibackend {
namespace {

// Length of the character that starts at `p`, or 0 if it is malformed.
int CharacterLength(const unsigned char* p, const unsigned char* end) {
  if (*p < 0x80) return 1;
  auto continuation = [&](int i) { return p + i < end && (p[i] & 0xC0) == 0x80; };
  if (*p >= 0xC2 && *p <= 0xDF) return continuation(1) ? 2 : 0;
  if (*p >= 0xE0 && *p <= 0xEF) {
    if (!continuation(1) || !continuation(2)) return 0;
    if (*p == 0xE0 && p[1] < 0xA0) return 0;  // overlong
    if (*p == 0xED && p[1] > 0x9F) return 0;  // surrogate
    return 3;
  }
  if (*p >= 0xF0 && *p <= 0xF4) {
    if (!continuation(1) || !continuation(2) || !continuation(3)) return 0;
    if (*p == 0xF0 && p[1] < 0x90) return 0;  // overlong
    if (*p == 0xF4 && p[1] > 0x8F) return 0;  // beyond U+10FFFF
    return 4;
  }
  return 0;
}

}  // namespace

bool IsValidUtf8(absl::string_view text) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = p + text.size();
  while (p < end) {
    const int length = CharacterLength(p, end);
    if (length == 0) return false;
    p += length;
  }
  return true;
}

absl::string_view Utf8Prefix(absl::string_view text, size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  size_t end = bytes_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

int EstimateTokens(absl::string_view text) {
  size_t quarter_tokens = 0;
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    // E3..E9 lead the kana and the CJK ideographs of the basic plane.
    if (lead >= 0xE3 && lead <= 0xE9) {
      quarter_tokens += 4;
      i += 3;
    } else {
      quarter_tokens += 1;
      i += 1;
    }
  }
  return static_cast<int>((quarter_tokens + 3) / 4);
}

}  // namespace aibackend
