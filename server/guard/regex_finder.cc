// Finds what a regular expression matches.
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "re2/re2.h"
#include "server/base/status.h"
#include "server/guard/finder.h"
#include "server/guard/partial_pattern.h"

namespace aibackend::guard {
namespace {

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
  // byte behind them in view, so that more text changes nothing. What is open begins no further
  // from the end than that.
  absl::optional<Place> Find(const GrowingText& text) const override {
    const absl::string_view bytes = text.bytes;
    const size_t size = bytes.size();
    const size_t last = size - std::min(size, kMatchBytesMax);
    const size_t open =
        text.is_all ? size : FirstStart(partial_, bytes, std::max(text.from, last), size);
    for (size_t from = text.from; from < open;) {
      const size_t until = std::min(size, from + kWindowBytes);
      const size_t at = FirstStart(pattern_, bytes, from, until);
      if (until < size && at > until - kMatchBytesMax) {  // one that begins before may end behind
        from = until - kMatchBytesMax + 1;
        continue;
      }
      if (at >= open) break;
      const size_t end = EndOfMatchAt(bytes, at);
      if (end > at) return Place{at, end};
      from = AfterLongMatch(bytes, at, until);
    }
    if (open == size) return absl::nullopt;
    return Place{open, size, false};
  }

 private:
  // A search for a match's beginning looks no further, so that its time doesn't grow with the text
  // behind it. Every match that is short enough and begins in the first part of a window ends in
  // it.
  static constexpr size_t kWindowBytes = 4 * kMatchBytesMax;

  // Of the first match in [from, until); the text's size where there is none, or where only the end
  // itself matches.
  static size_t FirstStart(const RE2& pattern, absl::string_view bytes, size_t from, size_t until) {
    re2::StringPiece match;
    const re2::StringPiece text(bytes.data(), bytes.size());
    if (!pattern.Match(text, from, until, RE2::UNANCHORED, &match, 1)) return bytes.size();
    return static_cast<size_t>(match.data() - bytes.data());
  }

  size_t EndOfMatchAt(absl::string_view bytes, size_t at) const {
    re2::StringPiece match;
    const re2::StringPiece text(bytes.data(), bytes.size());
    const size_t end = std::min(bytes.size(), at + kMatchBytesMax);
    return pattern_.Match(text, at, end, RE2::ANCHOR_START, &match, 1) ? at + match.size() : at;
  }

  // What matches from `at` on is too long, or nothing: where the search goes on. Where no match
  // from there on ends before some place, none that is short enough begins kMatchBytesMax before
  // it; so that a run which matches from each of its bytes isn't tried from each.
  size_t AfterLongMatch(absl::string_view bytes, size_t at, size_t until) const {
    const re2::StringPiece text(bytes.data(), bytes.size());
    const auto any_ends_by = [&](size_t end) {
      return pattern_.Match(text, at + 1, end, RE2::UNANCHORED, nullptr, 0);
    };
    size_t none = at + kMatchBytesMax;
    if (none >= until || any_ends_by(none)) return at + 1;
    for (size_t some = until; some - none > 1;) {
      const size_t middle = none + (some - none) / 2;
      (any_ends_by(middle) ? some : none) = middle;
    }
    return none - kMatchBytesMax + 1;
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
