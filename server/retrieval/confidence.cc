#include "server/retrieval/confidence.h"

#include <algorithm>

namespace aibackend::retrieval {

double Confidence(const Bag& query, const TermField& words, const std::vector<RankedChunk>& best) {
  double mass = 0;
  for (const TermCount& t : query) mass += t.count * words.Idf(t.term, kIdfChunksMin);
  if (mass <= 0 || best.empty()) return 0;

  double coverage = 0;
  double bm25 = 0;
  double cosine = 0;
  bool has_cosine = false;
  for (const RankedChunk& chunk : best) {
    double covered = 0;
    double score = 0;
    for (const TermCount& t : query) {
      const double count = words.Count(t.term, chunk.slot);
      if (count == 0) continue;
      const double idf = t.count * words.Idf(t.term, kIdfChunksMin);
      covered += idf;
      score += idf * count * (kBm25K1 + 1) / (count + words.LengthNorm(chunk.slot));
    }
    coverage = std::max(coverage, covered / mass);
    bm25 = std::max(bm25, score / ((kBm25K1 + 1) * mass));
    if (chunk.cosine.has_value()) {
      has_cosine = true;
      cosine = std::max<double>(cosine, *chunk.cosine);
    }
  }
  const double lexical = 0.5 * coverage + 0.25 * std::min(1.0, 2 * bm25);
  return has_cosine ? lexical + 0.25 * std::min(1.0, cosine) : lexical / 0.75;
}

}  // namespace aibackend::retrieval
