// Small words about text that more than one folder needs.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/strings/string_view.h"

namespace aibackend {

// Debian builds abseil with a string_view of its own; these are the two ways across.
inline std::string_view ToStd(absl::string_view s) {
  return {s.data(), s.size()};
}
inline absl::string_view ToAbsl(std::string_view s) {
  return {s.data(), s.size()};
}

// True if `text` is well-formed UTF-8 (Unicode 15, table 3-7).
bool IsValidUtf8(absl::string_view text);

// The longest prefix of at most `bytes_max` bytes that doesn't cut a UTF-8 character in two.
absl::string_view Utf8Prefix(absl::string_view text, size_t bytes_max);

// An estimate of a text's tokens where no model reports them: a quarter of its bytes for spaced
// scripts, one for each CJK character, at least 1 for text that isn't empty. (OpenAI's rule of
// thumb: a token is about 4 characters of English; help.openai.com, "What are tokens".)
int EstimateTokens(absl::string_view text);

}  // namespace aibackend
