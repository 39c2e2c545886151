#include "server/retrieval/lexical_index.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace aibackend::retrieval {

ChunkTerms AnalyzeChunk(absl::string_view title, absl::string_view chunk) {
  ChunkTerms terms;
  terms.text = AnalyzeText(title.empty() ? std::string(chunk) : absl::StrCat(title, " ", chunk));
  terms.words_weighted =
      title.empty() ? terms.text.words : AddBags(terms.text.words, AnalyzeText(title).words);
  return terms;
}

void LexicalIndex::Add(Slot slot, const ChunkTerms& terms) {
  words_.Add(slot, terms.words_weighted);
  bigrams_.Add(slot, terms.text.bigrams);
  chars_.Add(slot, terms.text.chars);
  unstemmed_.Add(slot, terms.text.unstemmed);
}

void LexicalIndex::Remove(Slot slot, const ChunkTerms& terms) {
  words_.Remove(slot, terms.words_weighted);
  bigrams_.Remove(slot, terms.text.bigrams);
  chars_.Remove(slot, terms.text.chars);
  unstemmed_.Remove(slot, terms.text.unstemmed);
}

}  // namespace aibackend::retrieval
