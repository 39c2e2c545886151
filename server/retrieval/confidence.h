// Whether a collection answers a query at all.
#pragma once

#include <vector>

#include "absl/types/optional.h"
#include "server/retrieval/term_field.h"

namespace aibackend::retrieval {

// How many of the best chunks are looked at.
constexpr size_t kConfidenceChunks = 3;

struct RankedChunk {
  Slot slot = 0;
  absl::optional<float> cosine;  // to the query in the fitted space; absent where none is fitted
};

// 0 to 1: .5 coverage + .25 min(1, 2 BM25 / max) + .25 cosine, each the best of `best` (the first
// three chunks of the answer), where coverage is the idf mass of the query's terms that a chunk
// holds over the mass of all of them, and max = (k1 + 1) * that mass, which BM25 never reaches.
//
// Where no space is fitted the cosine is not known, which says nothing against the chunk: the other
// two are weighed up to 1. Such a collection is small, and there idf says little: with one document
// every term it holds would count a fifth of one it doesn't, and a single unknown word in a
// question would outweigh three known ones. So the masses are taken as of a collection of
// at least kIdfChunksMin chunks, where the terms of a small one count nearly alike.
double Confidence(const Bag& query, const TermField& words, const std::vector<RankedChunk>& best);

constexpr size_t kIdfChunksMin = 100;

}  // namespace aibackend::retrieval
