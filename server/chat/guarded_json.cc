#include "server/chat/guarded_json.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "server/models/json_text.h"
#include "unicode/unistr.h"

namespace aibackend::chat {
namespace {

// Of base64: a shorter one may be a word.
constexpr size_t kFileBytesMin = 512;

bool IsFile(absl::string_view text) {
  if (absl::StartsWith(text, "data:")) {
    const size_t mark = text.find(";base64,");
    if (mark != absl::string_view::npos) text.remove_prefix(mark + 8);
  }
  if (text.size() < kFileBytesMin || text.size() % 4 != 0) return false;
  if (absl::ConsumeSuffix(&text, "=")) absl::ConsumeSuffix(&text, "=");
  return std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '+' || c == '/';
  });
}

// Where the string that begins at `at`, with its quote, is over.
size_t EndOfString(absl::string_view json, size_t at) {
  for (++at; at < json.size() && json[at] != '"'; ++at) {
    if (json[at] == '\\') ++at;
  }
  return std::min(at + 1, json.size());
}

char16_t UnitAt(absl::string_view hex) {
  uint32_t unit = 0;
  return absl::SimpleHexAtoi(hex.substr(0, 4), &unit) ? static_cast<char16_t>(unit) : u'\uFFFD';
}

// The text of a string in its quotes. Halves of characters become U+FFFD.
std::string Unescaped(absl::string_view quoted) {
  absl::string_view rest = quoted.substr(1, quoted.size() - 2);
  std::string text;
  icu::UnicodeString units;  // of \u… that follow each other: two may be a character
  while (!rest.empty()) {
    const size_t plain = std::min(rest.find('\\'), rest.size());
    text.append(rest.data(), plain);
    rest.remove_prefix(plain);
    units.remove();
    for (; absl::StartsWith(rest, "\\u"); rest.remove_prefix(std::min<size_t>(6, rest.size()))) {
      units.append(UnitAt(rest.substr(2)));
    }
    units.toUTF8String(text);
    if (rest.size() < 2 || rest[0] != '\\') continue;
    static constexpr absl::string_view kEscaped = "bfnrt";
    const size_t which = kEscaped.find(rest[1]);
    text.push_back(which == absl::string_view::npos ? rest[1] : "\b\f\n\r\t"[which]);
    rest.remove_prefix(2);
  }
  return text;
}

}  // namespace

const guard::CompiledRule* GuardJson(const guard::Guardrails::Rules& rules,
                                     guard::Outcomes& outcomes, std::string& json) {
  std::string out;
  size_t copied = 0;
  for (size_t at = json.find('"'); at != std::string::npos;) {
    const size_t end = EndOfString(json, at);
    const std::string text = Unescaped(absl::string_view(json).substr(at, end - at));
    std::string left = text;
    if (!IsFile(text)) {
      const guard::CompiledRule* blocked_by = guard::ApplyWhole(rules, outcomes, left);
      if (blocked_by != nullptr) return blocked_by;
    }
    if (left != text) {
      out.append(json, copied, at - copied);
      out += models::JsonWriter().String(left).Take();
      copied = end;
    }
    at = json.find('"', end);
  }
  if (copied > 0) json = out.append(json, copied, std::string::npos);
  return nullptr;
}

}  // namespace aibackend::chat
