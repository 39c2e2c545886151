#include "server/retrieval/analyzer.h"

#include <libstemmer.h>
#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "server/base/status.h"
#include "server/base/text.h"
#include "server/retrieval/stop_words.h"

namespace aibackend::retrieval {
namespace {

constexpr size_t kCharGram = 4;
// Normalising puts a run of combining marks in order, in time that grows as the run's square. No
// language comes near this length (UAX 15, "Stream-Safe Text Format").
constexpr size_t kMarksMax = 30;
constexpr size_t kCharWordMin = 6;  // shorter words have too few letters to be told apart by pieces

// How the texts of this process are read. Set before texts are, and constant from then on.
struct Language {
  std::string name;
  const char* algorithm = nullptr;  // libstemmer's; null: words stay as they are
  const StopWords* stop_words = nullptr;
  bool has_dotless_i = false;
};

absl::StatusOr<Language> FindLanguage(absl::string_view name) {
  if (name == "none") return Language{"none", nullptr, &StopWordsOf("none"), false};
  std::vector<absl::string_view> known;
  for (const char** each = sb_stemmer_list(); *each != nullptr; ++each) {
    if (name == *each) return Language{*each, *each, &StopWordsOf(name), name == "turkish"};
    known.push_back(*each);
  }
  return MakeError(Reason::FIELD_INVALID,
                   absl::StrCat("\"", Utf8Prefix(name, 40), "\" is no language; known are none, ",
                                absl::StrJoin(known, ", ")),
                   "retrieval-language");
}

Language& CurrentLanguage() {
  static auto* const language = new Language(*FindLanguage("english"));
  return *language;
}

bool IsCjk(UChar32 c) {
  return (c >= 0x3040 && c <= 0x30FF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0xFF66 && c <= 0xFF9F) || (c >= 0x20000 && c <= 0x3FFFF) || c == 0x3005;
}

bool IsWordCharacter(UChar32 c) {
  constexpr uint32_t kMask = U_GC_L_MASK | U_GC_N_MASK | U_GC_M_MASK;
  return (U_GET_GC_MASK(c) & kMask) != 0;
}

// `text` without what stands beyond kMarksMax in a run of characters that combine with the ones
// before them.
std::string WithoutMarkFloods(const icu::Normalizer2& nfkc, absl::string_view text) {
  std::string kept;
  kept.reserve(text.size());
  const auto size = static_cast<int32_t>(text.size());
  size_t marks = 0;
  for (int32_t i = 0; i < size;) {
    const int32_t start = i;
    UChar32 c;
    U8_NEXT(text.data(), i, size, c);
    marks = c >= 0x80 && !nfkc.hasBoundaryBefore(c) ? marks + 1 : 0;
    if (marks <= kMarksMax) kept.append(text.data() + start, static_cast<size_t>(i - start));
  }
  return kept;
}

// Turkish and its like have two letters i: I is the capital of the dotless one, and İ (which may be
// an I and a mark) of the other. The folding of all other languages would make one of them.
std::string WithTurkishCase(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"I\u0307", "i"}, {"I", "\u0131"}, {"\u0130", "i"}});
}

std::string Fold(absl::string_view given) {
  std::string turkish;
  if (CurrentLanguage().has_dotless_i) turkish = WithTurkishCase(given);
  const absl::string_view text = CurrentLanguage().has_dotless_i ? turkish : given;
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* nfkc = icu::Normalizer2::getNFKCCasefoldInstance(error);
  if (U_FAILURE(error)) return std::string(text);
  const std::string bounded = WithoutMarkFloods(*nfkc, text);
  std::string folded;
  folded.reserve(bounded.size());
  icu::StringByteSink<std::string> sink(&folded);
  nfkc->normalizeUTF8(0, icu::StringPiece(bounded.data(), static_cast<int32_t>(bounded.size())),
                      sink, nullptr, error);
  return folded;
}

// A folded text cut into runs.
struct Runs {
  std::vector<absl::string_view> words;             // stop words dropped
  std::vector<std::vector<absl::string_view>> cjk;  // the characters of each run
};

class RunReader {
 public:
  explicit RunReader(absl::string_view folded) : text_(folded) {}

  Runs Read() {
    Runs runs;
    while (!AtEnd()) {
      const size_t start = position_;
      const UChar32 c = Next();
      if (IsCjk(c)) {
        position_ = start;
        runs.cjk.push_back(ReadCjk());
      } else if (IsWordCharacter(c)) {
        const absl::string_view word = ReadWord(start);
        if (!stop_words_.contains(word)) runs.words.push_back(word);
      }
    }
    return runs;
  }

 private:
  bool AtEnd() const { return position_ >= text_.size(); }

  UChar32 Next() {
    UChar32 c;
    auto i = static_cast<int32_t>(position_);
    U8_NEXT(text_.data(), i, static_cast<int32_t>(text_.size()), c);
    position_ = static_cast<size_t>(i);
    return c < 0 ? 0xFFFD : c;
  }

  UChar32 Peek() {
    if (AtEnd()) return 0;
    const size_t before = position_;
    const UChar32 c = Next();
    position_ = before;
    return c;
  }

  std::vector<absl::string_view> ReadCjk() {
    std::vector<absl::string_view> characters;
    while (!AtEnd() && IsCjk(Peek())) {
      const size_t start = position_;
      Next();
      characters.push_back(text_.substr(start, position_ - start));
    }
    return characters;
  }

  absl::string_view ReadWord(size_t start) {
    while (!AtEnd() && IsWordCharacter(Peek()) && !IsCjk(Peek())) Next();
    const absl::string_view word = text_.substr(start, position_ - start);
    SkipPossessive();
    return Utf8Prefix(word, kWordBytesMax);
  }

  // 's at the end of a word, with either apostrophe.
  void SkipPossessive() {
    const size_t before = position_;
    const UChar32 apostrophe = AtEnd() ? 0 : Next();
    const bool is_possessive = (apostrophe == '\'' || apostrophe == 0x2019) && !AtEnd() &&
                               Next() == 's' && !IsWordCharacter(Peek()) && Peek() != '_';
    if (!is_possessive) position_ = before;
  }

  const absl::string_view text_;
  const StopWords& stop_words_ = *CurrentLanguage().stop_words;
  size_t position_ = 0;
};

// The characters [first, first + count) of a run as one text: they stand side by side.
absl::string_view Gram(const std::vector<absl::string_view>& characters, size_t first,
                       size_t count) {
  const absl::string_view& last = characters[first + count - 1];
  const char* begin = characters[first].data();
  return {begin, static_cast<size_t>(last.data() + last.size() - begin)};
}

class Stemmer {
 public:
  Stemmer() : stemmer_(nullptr, &sb_stemmer_delete) {
    const char* algorithm = CurrentLanguage().algorithm;
    if (algorithm != nullptr) stemmer_.reset(sb_stemmer_new(algorithm, "UTF_8"));
  }

  std::string Stem(absl::string_view word) {
    const auto* bytes = reinterpret_cast<const sb_symbol*>(word.data());
    const sb_symbol* stem =
        stemmer_ ? sb_stemmer_stem(stemmer_.get(), bytes, static_cast<int>(word.size())) : nullptr;
    if (stem == nullptr) return std::string(word);  // also when out of memory
    return {reinterpret_cast<const char*>(stem),
            static_cast<size_t>(sb_stemmer_length(stemmer_.get()))};
  }

 private:
  std::unique_ptr<sb_stemmer, void (*)(sb_stemmer*)> stemmer_;
};

std::vector<std::string> Words(const Runs& runs) {
  std::vector<std::string> words;
  for (const auto& run : runs.cjk) {
    for (size_t size = 1; size <= 2; ++size) {
      for (size_t i = 0; i + size <= run.size(); ++i) words.emplace_back(Gram(run, i, size));
    }
  }
  Stemmer stemmer;
  for (const absl::string_view word : runs.words) words.push_back(stemmer.Stem(word));
  return words;
}

void AppendCharGrams(absl::string_view word, std::vector<Term>& terms) {
  std::vector<size_t> starts;  // of each character of ^word$, and the end
  const std::string framed = "^" + std::string(word) + "$";
  for (size_t i = 0; i < framed.size(); ++i) {
    if ((static_cast<unsigned char>(framed[i]) & 0xC0) != 0x80) starts.push_back(i);
  }
  if (starts.size() < kCharWordMin + 2) return;
  starts.push_back(framed.size());
  const absl::string_view view = framed;
  for (size_t i = 0; i + kCharGram < starts.size(); ++i) {
    terms.push_back(Fingerprint(view.substr(starts[i], starts[i + kCharGram] - starts[i])));
  }
}

Bag CountTerms(std::vector<Term> terms) {
  std::sort(terms.begin(), terms.end());
  Bag bag;
  for (const Term term : terms) {
    if (bag.empty() || bag.back().term != term) bag.push_back({term, 0});
    bag.back().count += 1;
  }
  return bag;
}

Term Mix(Term x) {  // the finaliser of MurmurHash3
  x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdULL;
  x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53ULL;
  return x ^ (x >> 33);
}

}  // namespace

absl::Status UseLanguage(absl::string_view name) {
  AIB_ASSIGN_OR_RETURN(CurrentLanguage(), FindLanguage(name));
  return absl::OkStatus();
}

std::string AnalyzerVersion() {
  return absl::StrCat("1 ", CurrentLanguage().name, " unicode ", U_UNICODE_VERSION);
}

Term Fingerprint(absl::string_view term) {
  Term hash = 0xcbf29ce484222325ULL;  // FNV-1a
  for (const char c : term) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return Mix(hash);
}

std::vector<std::string> AnalyzeWords(absl::string_view text) {
  const std::string folded = Fold(text);
  return Words(RunReader(folded).Read());
}

TextBags AnalyzeText(absl::string_view text) {
  const std::string folded = Fold(text);
  const Runs runs = RunReader(folded).Read();

  std::vector<Term> words;
  for (const std::string& word : Words(runs)) words.push_back(Fingerprint(word));
  std::vector<Term> bigrams;
  for (size_t i = 0; i + 1 < words.size(); ++i) bigrams.push_back(Mix(words[i] * 3 + words[i + 1]));
  std::vector<Term> chars;
  std::vector<Term> unstemmed;
  for (const absl::string_view word : runs.words) {
    AppendCharGrams(word, chars);
    unstemmed.push_back(Fingerprint(word));
  }
  for (const auto& run : runs.cjk) {
    const size_t size = std::min<size_t>(3, run.size());
    for (size_t i = 0; i + size <= run.size(); ++i) {
      unstemmed.push_back(Fingerprint(Gram(run, i, size)));
    }
  }
  return {CountTerms(std::move(words)), CountTerms(std::move(bigrams)),
          CountTerms(std::move(chars)), CountTerms(std::move(unstemmed))};
}

Bag AddBags(const Bag& a, const Bag& b, float b_weight) {
  Bag sum;
  sum.reserve(a.size() + b.size());
  auto i = a.begin();
  for (const TermCount& added : b) {
    while (i != a.end() && i->term < added.term) sum.push_back(*i++);
    sum.push_back({added.term, b_weight * added.count});
    if (i != a.end() && i->term == added.term) sum.back().count += (i++)->count;
  }
  sum.insert(sum.end(), i, a.end());
  return sum;
}

float CountOf(const Bag& bag, Term term) {
  const auto found = std::lower_bound(bag.begin(), bag.end(), term,
                                      [](const TermCount& t, Term key) { return t.term < key; });
  return found != bag.end() && found->term == term ? found->count : 0;
}

}  // namespace aibackend::retrieval
