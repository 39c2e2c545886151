// Finds what a regular expression matches.
#include <algorithm>
#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "re2/re2.h"
#include "server/base/status.h"
#include "server/guard/finder.h"
#include "server/guard/partial_pattern.h"

namespace aibackend::guard {
namespace {

constexpr size_t kNone = std::numeric_limits<size_t>::max();

// Letters of the scripts that addresses are commonly written in; where words stand without spaces
// around an address, as in Japanese, these are not part of it.
constexpr char kEmailPattern[] =
    R"([\p{Latin}\p{Greek}\p{Cyrillic}0-9._%+-]+@)"
    R"((?:[\p{Latin}\p{Greek}\p{Cyrillic}0-9-]+\.)+)"
    R"([\p{Latin}\p{Greek}\p{Cyrillic}][\p{Latin}\p{Greek}\p{Cyrillic}0-9-]*)"
    R"([\p{Latin}\p{Greek}\p{Cyrillic}0-9])";

RE2::Options Quiet() {
  RE2::Options options;
  options.set_log_errors(false);
  return options;
}

class RegexFinder final : public Finder {
 public:
  explicit RegexFinder(absl::string_view pattern)
      : pattern_({pattern.data(), pattern.size()}, Quiet()),
        partial_(pattern_.ok() ? PartialPattern(pattern) : "", Quiet()) {}

  absl::Status Check() const {
    if (!pattern_.ok()) {
      return MakeError(Reason::FIELD_INVALID, absl::StrCat("doesn't compile: ", pattern_.error()));
    }
    if (!partial_.ok()) return MakeError(Reason::FIELD_INVALID, "is too large; write less of it");
    if (RE2::FullMatch("", pattern_)) {
      return MakeError(Reason::FIELD_INVALID,
                       "matches the empty text; it must ask for a character at least");
    }
    return absl::OkStatus();
  }

  // A match from a place on is looked for only within kMatchBytesMax bytes, but decided with the
  // byte behind them in view, so that more text changes nothing.
  absl::optional<Place> Find(const GrowingText& text) const override {
    const absl::string_view bytes = text.bytes;
    for (size_t from = text.from; from < bytes.size();) {
      const size_t open = text.is_all ? kNone : FirstStart(partial_, bytes, from);
      const size_t at = std::min(FirstStart(pattern_, bytes, from), open);
      if (at == kNone) break;
      if (at == open && bytes.size() - at <= kMatchBytesMax) return Place{at, bytes.size(), false};
      const size_t end = EndOfMatchAt(bytes, at);
      if (end > at) return Place{at, end};
      from = at + 1;
    }
    return absl::nullopt;
  }

 private:
  // kNone also where only the end itself matches.
  static size_t FirstStart(const RE2& pattern, absl::string_view bytes, size_t from) {
    re2::StringPiece match;
    const re2::StringPiece text(bytes.data(), bytes.size());
    if (!pattern.Match(text, from, text.size(), RE2::UNANCHORED, &match, 1)) return kNone;
    const auto start = static_cast<size_t>(match.data() - bytes.data());
    return start == bytes.size() ? kNone : start;
  }

  size_t EndOfMatchAt(absl::string_view bytes, size_t at) const {
    re2::StringPiece match;
    const re2::StringPiece text(bytes.data(), bytes.size());
    const size_t end = std::min(bytes.size(), at + kMatchBytesMax);
    return pattern_.Match(text, at, end, RE2::ANCHOR_START, &match, 1) ? at + match.size() : at;
  }

  const RE2 pattern_;
  const RE2 partial_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Finder>> MakeRegexFinder(absl::string_view pattern) {
  if (absl::StrContains(pattern, R"(\C)")) {
    return MakeError(Reason::FIELD_INVALID, R"(asks for single bytes (\C); use . for a character)");
  }
  auto finder = std::make_unique<RegexFinder>(pattern);
  AIB_RETURN_IF_ERROR(finder->Check());
  return std::unique_ptr<Finder>(std::move(finder));
}

std::unique_ptr<Finder> MakeEmailFinder() {
  return std::make_unique<RegexFinder>(kEmailPattern);
}

}  // namespace aibackend::guard
