#include "server/guard/partial_pattern.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "re2/re2.h"

namespace aibackend::guard {
namespace {

size_t EndAfter(absl::string_view text, absl::string_view mark, size_t from) {
  const size_t at = text.find(mark, from);
  return at == absl::string_view::npos ? text.size() : at + mark.size();
}

size_t CharacterBytes(absl::string_view text) {
  size_t bytes = 1;
  while (bytes < text.size() && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) ++bytes;
  return bytes;
}

// Of what stands at the beginning of `text`, which is a backslash and more.
size_t EscapeBytes(absl::string_view text) {
  const char kind = text.size() > 1 ? text[1] : '\0';
  const bool has_braces = text.size() > 2 && text[2] == '{';
  if (kind == 'p' || kind == 'P') return has_braces ? EndAfter(text, "}", 2) : size_t{3};
  if (kind == 'x') return has_braces ? EndAfter(text, "}", 2) : size_t{4};
  if (kind >= '0' && kind <= '7') {  // octal: three digits at most
    size_t bytes = 2;
    while (bytes < std::min<size_t>(text.size(), 4) && text[bytes] >= '0' && text[bytes] <= '7') {
      ++bytes;
    }
    return bytes;
  }
  return 1 + CharacterBytes(text.substr(1));
}

// Of the [class] at the beginning of `text`. A ] that comes first is a member.
size_t ClassBytes(absl::string_view text) {
  size_t at = absl::StartsWith(text, "[^") ? 2 : 1;
  for (bool is_first = true; at < text.size(); is_first = false) {
    if (text[at] == ']' && !is_first) return at + 1;
    // The name's end is looked for behind the whole of "[:", and without one it is two members.
    const size_t name_end =
        absl::StartsWith(text.substr(at), "[:") ? text.find(":]", at + 2) : absl::string_view::npos;
    if (name_end != absl::string_view::npos) {
      at = name_end + 2;
    } else {
      at += text[at] == '\\' ? EscapeBytes(text.substr(at)) : 1;
    }
  }
  return at;
}

// Of the opening of a group, with its name or flags; of flags alone all of it.
size_t GroupBytes(absl::string_view text) {
  if (!absl::StartsWith(text, "(?")) return 1;
  if (absl::StartsWith(text, "(?P<") || absl::StartsWith(text, "(?<")) {
    return EndAfter(text, ">", 0);
  }
  return std::min(text.find_first_of(":)"), text.size() - 1) + 1;
}

// Of a {n,m} at the beginning of `text`; 0: the brace is a character.
size_t RepeatBytes(absl::string_view text) {
  static const RE2* const kRepeat = new RE2(R"(\{\d+(?:,\d*)?\})");
  re2::StringPiece rest(text.data(), text.size());
  return RE2::Consume(&rest, *kRepeat) ? text.size() - rest.size() : 0;
}

void AppendOrEnd(absl::string_view atom, std::string* out) {
  absl::StrAppend(out, R"((?:\z|)", atom, ")");
}

// The characters of \Q…\E. Returns how long it is.
size_t AppendQuoted(absl::string_view text, std::string* out) {
  const size_t end = std::min(text.find(R"(\E)"), text.size());
  for (size_t at = 2; at < end;) {
    const absl::string_view character = text.substr(at, CharacterBytes(text.substr(at)));
    AppendOrEnd(RE2::QuoteMeta({character.data(), character.size()}), out);
    at += character.size();
  }
  return std::min(end + 2, text.size());
}

}  // namespace

std::string PartialPattern(absl::string_view pattern) {
  std::string out = "(?:";
  while (!pattern.empty()) {
    size_t bytes = 1;
    switch (pattern[0]) {
      case '(':
        bytes = GroupBytes(pattern);
        absl::StrAppend(&out, pattern.substr(0, bytes));
        break;
      case ')':
      case '|':
      case '*':
      case '+':
      case '?':
        absl::StrAppend(&out, pattern.substr(0, 1));
        break;
      case '{':
        bytes = RepeatBytes(pattern);
        if (bytes > 0) {
          absl::StrAppend(&out, pattern.substr(0, bytes));
        } else {
          bytes = 1;
          AppendOrEnd(R"(\{)", &out);
        }
        break;
      case '\\':
        if (absl::StartsWith(pattern, R"(\Q)")) {
          bytes = AppendQuoted(pattern, &out);
          break;
        }
        bytes = EscapeBytes(pattern);
        if (!absl::StartsWith(pattern, R"(\E)")) AppendOrEnd(pattern.substr(0, bytes), &out);
        break;
      default:
        bytes = pattern[0] == '[' ? ClassBytes(pattern) : CharacterBytes(pattern);
        AppendOrEnd(pattern.substr(0, bytes), &out);
    }
    pattern.remove_prefix(std::min(bytes, pattern.size()));
  }
  return out + R"()\z)";
}

}  // namespace aibackend::guard
