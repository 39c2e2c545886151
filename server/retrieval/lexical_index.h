// The lexical legs of a collection: four inverted indexes over the same chunks.
#pragma once

#include <vector>

#include "absl/strings/string_view.h"
#include "server/retrieval/analyzer.h"
#include "server/retrieval/term_field.h"

namespace aibackend::retrieval {

// A chunk's terms for the four legs.
struct ChunkTerms {
  TextBags text;       // of the title and the chunk
  Bag words_weighted;  // the words leg: the title's words counted twice
};

ChunkTerms AnalyzeChunk(absl::string_view title, absl::string_view chunk);

// Not thread-safe.
class LexicalIndex {
 public:
  void Add(Slot slot, const ChunkTerms& terms);
  void Remove(Slot slot, const ChunkTerms& terms);

  // Whether `terms` are what was added at `slot`.
  bool Holds(Slot slot, const ChunkTerms& terms) const;

  // See TermField.
  void Save(size_t slots, SnapshotWriter& writer) const;
  void Load(const SavedSlots& saved, SnapshotReader& reader);

  const TermField& words() const { return words_; }
  const TermField& bigrams() const { return bigrams_; }
  const TermField& chars() const { return chars_; }
  const TermField& unstemmed() const { return unstemmed_; }

 private:
  TermField words_;
  TermField bigrams_;
  TermField chars_;
  TermField unstemmed_;
};

}  // namespace aibackend::retrieval
