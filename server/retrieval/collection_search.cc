// The query side of CollectionIndex: which slots may answer, their ranking, how sure the answer is.
#include <algorithm>
#include <string>
#include <utility>

#include "server/base/status.h"
#include "server/retrieval/collection_index.h"
#include "server/retrieval/confidence.h"
#include "server/retrieval/hybrid_search.h"

namespace aibackend::retrieval {

struct CollectionIndex::Ranking {
  std::vector<RankedSlot> slots;          // best first
  std::vector<float> vector;              // the query's; empty where it has none
  std::vector<Explanation> explanations;  // of the first slots, as many as were asked for
};

bool CollectionIndex::QueryVector(const Bag& words, const SearchQuery& query, float* vector) const {
  if (fitted_->space != nullptr) return fitted_->space->Embed(words, vector);
  std::copy(query.vector->begin(), query.vector->end(), vector);
  return true;
}

// Without a vector of this index's embedder the word legs serve.
Mode CollectionIndex::ServedMode(const SearchQuery& query) const {
  if (fitted_ == nullptr) return Mode::kLexical;
  if (fitted_->space != nullptr) return query.mode;
  const bool fits =
      query.vector != nullptr && query.vector->size() == fitted_->vectors.dimensions();
  return fits ? query.mode : Mode::kLexical;
}

CollectionIndex::Ranking CollectionIndex::RankFused(const SearchQuery& query, const TextBags& terms,
                                                    const RowSet& allowed, size_t count) const {
  Ranking ranking;
  SearchView view;
  view.slots = chunks_.size();
  view.lexical = &lexical_;
  view.allowed = &allowed;
  if (ServedMode(query) == Mode::kHybrid) {
    view.vectors = &fitted_->vectors;
    view.gate = &fitted_->gate;
    view.expanded = &fitted_->expanded;
    view.graph = &fitted_->graph;
    ranking.vector.resize(fitted_->vectors.dimensions());
    if (!QueryVector(terms.words, query, ranking.vector.data())) ranking.vector.clear();
  }
  HybridSearch search(view, query.legs, scratches_);
  ranking.slots =
      search.Rank(terms, ranking.vector.empty() ? nullptr : ranking.vector.data(), count);
  if (!query.explain) return ranking;
  for (size_t i = 0; i < std::min(query.top_k, ranking.slots.size()); ++i) {
    const RankedSlot& ranked = ranking.slots[i];
    ranking.explanations.push_back({search.LegsOf(ranked.slot), TermsOf(query, terms, ranked.slot),
                                    ranked.fused, ranked.neighbours, ranked.neighbour_share});
  }
  return ranking;
}

CollectionIndex::Ranking CollectionIndex::RankDense(const SearchQuery& query, const TextBags& terms,
                                                    const RowSet& allowed, size_t count) const {
  Ranking ranking;
  ranking.vector.resize(fitted_->vectors.dimensions());
  if (!QueryVector(terms.words, query, ranking.vector.data())) return {};
  const TopRows found = fitted_->gate.Search({ranking.vector.data(), count, &allowed});
  if (found.rows.empty()) return ranking;
  const double greatest = found.rows.front().score;
  for (const ScoredRow& row : found.rows) {
    if (row.score <= 0) break;
    const double score = row.score / greatest;
    ranking.slots.push_back({row.row, score, score, 0, 0});
    if (!query.explain || ranking.explanations.size() == query.top_k) continue;
    ranking.explanations.push_back(
        {{{LegName(Leg::kDense), row.score, score, 1}}, {}, score, 0, 0});
  }
  return ranking;
}

// The query's terms that a chunk holds; their scores are the parts of the words leg's.
std::vector<Explanation::Term> CollectionIndex::TermsOf(const SearchQuery& query,
                                                        const TextBags& terms, Slot slot) const {
  std::vector<Explanation::Term> found;
  const TermField& words = lexical_.words();
  for (std::string& word : AnalyzeWords(query.text)) {
    const Term term = Fingerprint(word);
    const double count = words.Count(term, slot);
    const bool is_listed = std::any_of(found.begin(), found.end(),
                                       [&](const auto& each) { return each.term == word; });
    if (count == 0 || is_listed) continue;
    const double score = words.ScoreOne({{term, CountOf(terms.words, term)}}, slot);
    found.push_back({std::move(word), words.Idf(term), count, score});
  }
  return found;
}

absl::StatusOr<SearchResult> CollectionIndex::Search(const SearchQuery& query) const {
  const TextBags terms = AnalyzeText(query.text);
  SearchResult result;
  absl::ReaderMutexLock lock(&mutex_);
  RowSet chosen;
  const RowSet* allowed = &present_;
  if (query.filter != nullptr && !query.filter->conditions.empty()) {
    AIB_ASSIGN_OR_RETURN(chosen, metadata_.Select(*query.filter));
    allowed = &chosen;
  }
  result.mode = ServedMode(query);
  result.generation = fitted_ == nullptr ? 0 : fitted_->generation;
  if (allowed->empty()) return result;
  const size_t count = std::max(query.top_k, kConfidenceChunks);
  Ranking ranking = result.mode == Mode::kDense ? RankDense(query, terms, *allowed, count)
                                                : RankFused(query, terms, *allowed, count);

  // The confidence is measured with cosines of the fitted space. Those of other embedders lie
  // anywhere, often above 0.5 for texts that have nothing in common.
  const bool counts_cosines =
      !ranking.vector.empty() && fitted_ != nullptr && fitted_->space != nullptr;
  std::vector<RankedChunk> best;
  for (const RankedSlot& ranked : ranking.slots) {
    if (best.size() == kConfidenceChunks) break;
    best.push_back({ranked.slot, absl::nullopt});
    if (!counts_cosines) continue;
    best.back().cosine = ScoreOf(ranking.vector.data(), fitted_->vectors.Row(ranked.slot),
                                 fitted_->vectors.dimensions());
  }
  result.confidence = Confidence(terms.words, lexical_.words(), best);
  for (size_t i = 0; i < std::min(query.top_k, ranking.slots.size()); ++i) {
    const Chunk& chunk = chunks_[ranking.slots[i].slot];
    result.hits.push_back({chunk.document, chunk.ordinal, ranking.slots[i].score, {}});
    if (query.explain) result.hits.back().explanation = std::move(ranking.explanations[i]);
  }
  return result;
}

std::vector<Retriever::WeightedTerm> CollectionIndex::Analyze(absl::string_view text) const {
  std::vector<Retriever::WeightedTerm> terms;
  for (std::string& word : AnalyzeWords(text)) terms.push_back({std::move(word), 0});
  absl::ReaderMutexLock lock(&mutex_);
  for (auto& t : terms) t.idf = lexical_.words().Idf(Fingerprint(t.term));
  return terms;
}

}  // namespace aibackend::retrieval
