// Finds numbers that people write in groups: of phones and of cards.
#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "re2/re2.h"
#include "server/guard/characters.h"
#include "server/guard/finder.h"

namespace aibackend::guard {
namespace {

// The digit's value, also of a full-width one; -1: it is none.
int DigitOf(Character c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 0xFF10 && c <= 0xFF19 ? c - 0xFF10 : -1;
}

bool IsDigit(Character c) {
  return DigitOf(c) >= 0;
}

bool IsPlus(Character c) {
  return c == '+' || c == 0xFF0B;
}

// A blank or a dash in ASCII for one of any kind, what else may separate as it is; 0: nothing that
// separates.
char SeparatorOf(Character c) {
  // From en quad over figure space and thin space to hair space; from hyphen to em dash.
  if (c >= 0x2000 && c <= 0x200A) return ' ';
  if (c >= 0x2010 && c <= 0x2014) return '-';
  switch (c) {
    case ' ':
    case 0x00A0:  // no-break
    case 0x202F:  // narrow no-break
    case 0x205F:  // mathematical
    case 0x3000:  // ideographic
      return ' ';
    case '-':
    case 0x2212:  // minus
    case 0xFE63:  // small hyphen
    case 0xFF0D:  // full-width hyphen
      return '-';
    case '.':
    case '/':
    case '(':
    case ')':
      return static_cast<char>(c);
    default:
      return 0;
  }
}

// Digits and what stands between them, as far as they may be one number.
struct Run {
  struct End {
    size_t in_text = 0;
    size_t in_number = 0;
    size_t digits = 0;
  };
  std::string number;     // with separators in ASCII
  std::vector<End> ends;  // of its groups
  bool is_open = false;   // the text ended first
};

struct RunForm {
  size_t digits_max = 0;
  size_t separators_max = 0;  // between two digits
  absl::string_view separators;
};

// Reads at most kMatchBytesMax bytes and a character.
Run ReadRun(absl::string_view text, size_t start, const RunForm& form) {
  Run run;
  size_t digits = 0;
  size_t separators = 0;
  size_t digit_end = start;
  const auto end_group = [&] {
    if (separators == 0 && digits > 0) run.ends.push_back({digit_end, run.number.size(), digits});
  };
  size_t at = start;
  while (at < text.size() && at - start < kMatchBytesMax) {
    const CharacterAt c = ReadCharacter(text, at);
    const char separator = SeparatorOf(c.value);
    at = c.end;
    if (IsIgnorable(c.value)) continue;
    if (IsDigit(c.value)) {
      if (++digits > form.digits_max) return run;
      separators = 0;
      digit_end = c.end;
      run.number.push_back(static_cast<char>('0' + DigitOf(c.value)));
    } else if (run.number.empty() && IsPlus(c.value)) {
      run.number.push_back('+');
    } else if (separator != 0 && absl::StrContains(form.separators, separator)) {
      end_group();
      if (++separators > form.separators_max) return run;
      run.number.push_back(separator);
    } else {
      end_group();
      return run;
    }
  }
  end_group();
  run.is_open = at == text.size() && at - start < kMatchBytesMax;
  return run;
}

// A number begins at a place and ends with a group: the longest that `Accepts` is the match.
class NumberFinder : public Finder {
 public:
  explicit NumberFinder(RunForm form) : form_(form) {}

  absl::optional<Place> Find(const GrowingText& text) const override {
    for (size_t at = text.from; at < text.bytes.size(); ++at) {
      // With the first byte of full-width ones.
      at = std::min(text.bytes.find_first_of("0123456789+(\xEF", at), text.bytes.size());
      if (at == text.bytes.size()) break;
      const Character first = ReadCharacter(text.bytes, at).value;
      const size_t limit = at - std::min(at, kContextBytes);
      if (!MayBegin(first, text.bytes, at, limit)) continue;
      const Run run = ReadRun(text.bytes, at, form_);
      if (run.is_open && !text.is_all) return Place{at, text.bytes.size(), false};
      for (auto end = run.ends.rbegin(); end != run.ends.rend(); ++end) {
        if (Accepts(run, *end)) return Place{at, end->in_text};
      }
    }
    return absl::nullopt;
  }

 private:
  // `first` stands at `at`; what is before `limit` counts for nothing.
  virtual bool MayBegin(Character first, absl::string_view text, size_t at, size_t limit) const = 0;
  virtual bool Accepts(const Run& run, const Run::End& end) const = 0;

  const RunForm form_;
};

class CardFinder final : public NumberFinder {
 public:
  // ISO/IEC 7812: at most 19 digits; the shortest in use have 13.
  CardFinder() : NumberFinder({/*digits_max=*/19, /*separators_max=*/1, " -"}) {}

 private:
  bool MayBegin(Character first, absl::string_view text, size_t at, size_t limit) const override {
    return IsDigit(first) && !IsDigit(VisibleBefore(text, at, limit).value);
  }
  bool Accepts(const Run& run, const Run::End& end) const override {
    return end.digits >= 13 && PassesLuhn(run.number.substr(0, end.in_number));
  }

  // ISO/IEC 7812-1, annex B. Zeros alone pass it, but are no card.
  static bool PassesLuhn(absl::string_view number) {
    int sum = 0;
    bool is_doubled = false;
    for (auto c = number.rbegin(); c != number.rend(); ++c) {
      if (!IsDigit(*c)) continue;
      const int digit = (*c - '0') * (is_doubled ? 2 : 1);
      sum += digit > 9 ? digit - 9 : digit;
      is_doubled = !is_doubled;
    }
    return sum > 0 && sum % 10 == 0;
  }
};

class PhoneFinder final : public NumberFinder {
 public:
  // E.164: at most 15 digits; two more for an international prefix of 00.
  PhoneFinder() : NumberFinder({/*digits_max=*/17, /*separators_max=*/2, " -./()"}) {}

 private:
  // Not within a word or a longer number.
  bool MayBegin(Character first, absl::string_view text, size_t at, size_t limit) const override {
    if (!IsDigit(first) && !IsPlus(first) && first != '(') return false;
    const CharacterAt before = VisibleBefore(text, at, limit);
    if (IsPlus(before.value) || AreOneWord(before.value, '0')) return false;
    if (IsPlus(first) || SeparatorOf(before.value) == 0) return true;
    return !IsDigit(VisibleBefore(text, before.start, limit).value);
  }

  bool Accepts(const Run& run, const Run::End& end) const override {
    const char next = end.in_number < run.number.size() ? run.number[end.in_number] : ' ';
    const bool goes_on = &end != &run.ends.back() && next != ' ' && next != '(' && next != ')';
    return !goes_on && IsPhone(run.number.substr(0, end.in_number), end.digits);
  }

  static bool IsPhone(const std::string& number, size_t digits) {
    static const RE2* const kInternational = new RE2(R"(\+[ (]?[1-9][-\d ./()]*)");
    static const RE2* const kPrefixed = new RE2(R"(00[ -]?[1-9]\d{0,2}[ ./()-][-\d ./()]*)");
    static const RE2* const kNational =
        new RE2(R"((?:\(0\d{1,4}\) ?|0\d{1,4}[ ./-]{1,2})\d{2,8}(?:[ ./-]{1,2}\d{2,8}){0,4})");
    static const RE2* const kDate = new RE2(R"(\d{1,2}[./-]\d{1,2}[./-](?:19|20)\d\d(?:\D.*)?)");
    static const RE2* const kNorthAmerican =
        new RE2(R"((?:1[ .-])?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4})");
    static const RE2* const kChinese = new RE2(R"(1[3-9]\d[ -]\d{4}[ -]\d{4})");
    if (number[0] == '+')
      return digits >= 9 && digits <= 15 && RE2::FullMatch(number, *kInternational);
    if (RE2::FullMatch(number, *kPrefixed)) return digits >= 11;
    if (RE2::FullMatch(number, *kNational)) {
      return digits >= 9 && digits <= 12 && !RE2::FullMatch(number, *kDate);
    }
    return RE2::FullMatch(number, *kNorthAmerican) || RE2::FullMatch(number, *kChinese);
  }
};

class SizeFinder final : public Finder {
 public:
  explicit SizeFinder(size_t bytes_max) : bytes_max_(bytes_max) {}

  absl::optional<Place> Find(const GrowingText& text) const override {
    const uint64_t end = text.offset + text.bytes.size();
    if (end <= bytes_max_ || text.from == text.bytes.size()) return absl::nullopt;
    size_t start = bytes_max_ > text.offset ? bytes_max_ - text.offset : 0;
    start = std::max(start, text.from);
    while (start > text.from && (static_cast<unsigned char>(text.bytes[start]) & 0xC0) == 0x80) {
      --start;
    }
    return Place{start, text.bytes.size()};
  }

 private:
  const uint64_t bytes_max_;
};

}  // namespace

std::unique_ptr<Finder> MakePhoneFinder() {
  return std::make_unique<PhoneFinder>();
}

std::unique_ptr<Finder> MakeCardFinder() {
  return std::make_unique<CardFinder>();
}

std::unique_ptr<Finder> MakeSizeFinder(size_t bytes_max) {
  return std::make_unique<SizeFinder>(bytes_max);
}

}  // namespace aibackend::guard
