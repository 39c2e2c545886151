// Words so common in a language that they tell nothing about what a text is about.
#pragma once

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"

namespace aibackend::retrieval {

using StopWords = absl::flat_hash_set<absl::string_view>;

// Folded as the analyzer folds a text (so "dass", not "daß"). `language` is one of libstemmer's
// names; a language without a list here has no stop words: they then weigh little, for they are in
// every text. Where an apostrophe binds a short word to the next ("l'eau"), the short word is one
// of them: the analyzer ends a word at the apostrophe.
const StopWords& StopWordsOf(absl::string_view language);

}  // namespace aibackend::retrieval
