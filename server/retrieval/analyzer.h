// Text to search terms: one piece of code for documents and queries.
//
// Text is folded (Unicode NFKC, case). Runs of Chinese and Japanese script give each character and
// each pair; other runs of letters and digits are words: a trailing 's is stripped, stop words are
// dropped, the rest stemmed (Snowball), both as the language of the process wants it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace aibackend::retrieval {

// Sets the language of every text from now on: a name that libstemmer knows ("english", which is
// the default, "german", "french" …) or "none" for no stemming and no stop words. Not thread-safe:
// before any index is opened, and then never, for terms made under one language don't meet those of
// another. Errors: FIELD_INVALID with the names it knows; nothing is changed then.
absl::Status UseLanguage(absl::string_view name);

// Two processes that say the same here make the same terms of a text: for whoever keeps terms in a
// file. Of this method, the language, and the Unicode version that folds.
std::string AnalyzerVersion();

// A longer run of letters is cut here: no word of a language is, and the stemmer is not linear.
constexpr size_t kWordBytesMax = 128;

// A term is its 64-bit fingerprint: among a million terms two collide with a chance of 3e-8, and
// would then only be ranked as one. The same in every process, so that a fit repeats.
using Term = uint64_t;

struct TermCount {
  Term term = 0;
  float count = 0;
};

// The terms of a text with their counts: ascending, each once.
using Bag = std::vector<TermCount>;

// What a text is to each of the lexical legs.
struct TextBags {
  Bag words;      // stemmed words; CJK characters and pairs
  Bag bigrams;    // pairs of adjacent words
  Bag chars;      // 4-grams of ^word$, words of 6 letters or more
  Bag unstemmed;  // words as they stand; CJK triples
};

// The words of a text, in order: CJK characters and pairs first, then stemmed words.
std::vector<std::string> AnalyzeWords(absl::string_view text);

TextBags AnalyzeText(absl::string_view text);

Term Fingerprint(absl::string_view term);

// The sum of two bags.
Bag AddBags(const Bag& a, const Bag& b, float b_weight = 1);

// The count of `term` in `bag`; 0 where it is not.
float CountOf(const Bag& bag, Term term);

}  // namespace aibackend::retrieval
