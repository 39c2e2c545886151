// The query side of CollectionIndex: score every leg, fuse, let the neighbours speak, rank.
#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "server/retrieval/collection_index.h"
#include "server/retrieval/confidence.h"
#include "server/retrieval/linear_algebra.h"

namespace aibackend::retrieval {
namespace {

// What each leg counts in the fusion. Measured on public test collections; none of them decides.
constexpr float kWordsWeight = 1.0F;
constexpr float kBigramsWeight = 0.20F;
constexpr float kCharsWeight = 0.15F;
constexpr float kUnstemmedWeight = 0.15F;
constexpr float kExpandedWeight = 0.20F;
constexpr float kDenseWeight = 0.20F;
constexpr float kFeedbackWeight = 0.15F;

// The feedback leg asks again with the mean of so many first chunks.
constexpr size_t kFeedbackChunks = 5;

// How many chunks the neighbours re-score. The more never reach an answer of usual size.
constexpr size_t kRescoredChunks = 300;

using Scores = std::vector<float>;

// Divides by the greatest score, so that legs of different scales can be added. Negative becomes 0.
void MaxNormalise(Scores& scores) {
  float greatest = 0;
  for (float& score : scores) {
    score = std::max(score, 0.0F);
    greatest = std::max(greatest, score);
  }
  if (greatest <= 1e-9F) return;
  const float scale = 1 / greatest;
  for (float& score : scores) score *= scale;
}

void AddWeighted(const Scores& leg, float weight, Scores& sum) {
  for (size_t i = 0; i < sum.size(); ++i) sum[i] += weight * leg[i];
}

// Higher scores first, then the order of adding.
bool IsBetter(const std::pair<Slot, float>& a, const std::pair<Slot, float>& b) {
  return a.second != b.second ? a.second > b.second : a.first < b.first;
}

}  // namespace

struct CollectionIndex::Legs {
  Scores words;               // kept for the feedback leg
  Scores cosines;             // of the dense leg, before normalisation; empty without one
  Scores fused;               // 0 to 1
  float neighbour_share = 0;  // 0: the neighbours don't speak
  const SearchQuery* search = nullptr;
};

struct CollectionIndex::RankedSlot {
  Slot slot = 0;
  float score = 0;
  absl::optional<float> cosine;  // absent without a dense leg
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

void CollectionIndex::ScoreDense(const Bag& query, Legs& legs) const {
  const size_t size = fitted_->vectors.dimensions();
  std::vector<float> vector(size);
  if (!QueryVector(query, *legs.search, vector.data())) return;
  legs.cosines.resize(chunks_.size());
  fitted_->vectors.Products(vector.data(), legs.cosines.data());
  for (const Slot slot : removed_) legs.cosines[slot] = 0;
  Scores dense = legs.cosines;
  MaxNormalise(dense);
  AddWeighted(dense, kDenseWeight, legs.fused);

  std::array<std::pair<Slot, float>, kFeedbackChunks> first{};
  for (Slot slot = 0; slot < chunks_.size(); ++slot) {
    const std::pair<Slot, float> scored(slot, 0.8F * legs.words[slot] + 0.2F * dense[slot]);
    if (scored.second <= first.back().second) continue;
    first.back() = scored;
    for (size_t i = kFeedbackChunks - 1; i > 0 && IsBetter(first[i], first[i - 1]); --i) {
      std::swap(first[i], first[i - 1]);
    }
  }
  for (const auto& [slot, score] : first) {
    if (score <= 0) continue;
    const float* row = fitted_->vectors.Row(slot);
    for (size_t i = 0; i < size; ++i) vector[i] += row[i] / kFeedbackChunks;
  }
  if (!Normalise(vector.data(), size)) return;
  Scores feedback(chunks_.size());
  fitted_->vectors.Products(vector.data(), feedback.data());
  for (const Slot slot : removed_) feedback[slot] = 0;
  MaxNormalise(feedback);
  AddWeighted(feedback, kFeedbackWeight, legs.fused);
}

void CollectionIndex::ScoreLegs(const TextBags& query, Mode mode, Legs& legs) const {
  const size_t n = chunks_.size();
  legs.fused.assign(n, 0);
  const auto score = [&](const TermField& field, const Bag& terms, float weight) {
    Scores scores(n, 0);
    field.Score(terms, scores);
    MaxNormalise(scores);
    AddWeighted(scores, weight, legs.fused);
    return scores;
  };
  legs.words = score(lexical_.words(), query.words, kWordsWeight);
  score(lexical_.bigrams(), query.bigrams, kBigramsWeight);
  score(lexical_.chars(), query.chars, kCharsWeight);
  score(lexical_.unstemmed(), query.unstemmed, kUnstemmedWeight);
  if (mode == Mode::kHybrid) {
    Scores expanded(n, 0);
    fitted_->expanded.Score(query.words, expanded);
    for (const Slot slot : removed_) expanded[slot] = 0;
    MaxNormalise(expanded);
    AddWeighted(expanded, kExpandedWeight, legs.fused);
    ScoreDense(query.words, legs);
    // A short query says little of its own, so the neighbours say more.
    const auto known = std::count_if(query.words.begin(), query.words.end(), [&](const auto& t) {
      return lexical_.words().DocumentFrequency(t.term) > 0;
    });
    legs.neighbour_share =
        0.15F + 0.15F * std::clamp((6 - static_cast<float>(known)) / 3, 0.0F, 1.0F);
  }
  MaxNormalise(legs.fused);
}

float CollectionIndex::ScoreWithNeighbours(Slot slot, const Legs& legs) const {
  const float own = legs.fused[slot];
  // Chunks newer than the fit have no neighbours yet: they stand for themselves.
  if (legs.neighbour_share == 0 || slot >= fitted_->graph.size()) return own;
  float squares = 0;
  for (const Neighbour& n : fitted_->graph[slot]) {
    squares += n.weight * legs.fused[n.text] * legs.fused[n.text];
  }
  return (1 - legs.neighbour_share) * own + legs.neighbour_share * std::sqrt(squares);
}

std::vector<CollectionIndex::RankedSlot> CollectionIndex::Rank(const Legs& legs,
                                                               size_t top_k) const {
  std::vector<std::pair<Slot, float>> pool;
  for (Slot slot = 0; slot < legs.fused.size(); ++slot) {
    if (legs.fused[slot] > 0) pool.emplace_back(slot, legs.fused[slot]);
  }
  const size_t rescored = std::max(kRescoredChunks, top_k);
  if (pool.size() > rescored) {
    std::nth_element(pool.begin(), pool.begin() + static_cast<ptrdiff_t>(rescored), pool.end(),
                     IsBetter);
    pool.resize(rescored);
  }
  for (auto& [slot, score] : pool) score = ScoreWithNeighbours(slot, legs);
  const size_t count = std::min(top_k, pool.size());
  std::partial_sort(pool.begin(), pool.begin() + static_cast<ptrdiff_t>(count), pool.end(),
                    IsBetter);
  std::vector<RankedSlot> ranked;
  for (size_t i = 0; i < count; ++i) {
    const auto [slot, score] = pool[i];
    ranked.push_back({slot, score});
    if (!legs.cosines.empty()) ranked.back().cosine = legs.cosines[slot];
  }
  return ranked;
}

std::vector<CollectionIndex::RankedSlot> CollectionIndex::RankDense(const Bag& words,
                                                                    const SearchQuery& query,
                                                                    size_t top_k) const {
  std::vector<float> vector(fitted_->vectors.dimensions());
  if (!QueryVector(words, query, vector.data())) return {};
  const TopRows found = fitted_->gate.Search({vector.data(), top_k, &present_});
  Scores scores;
  for (const ScoredRow& row : found.rows) scores.push_back(row.score);
  MaxNormalise(scores);
  std::vector<RankedSlot> ranked;
  for (size_t i = 0; i < scores.size() && scores[i] > 0; ++i) {
    ranked.push_back({found.rows[i].row, scores[i], found.rows[i].score});
  }
  // Normalised, two cosines may have become one score.
  std::sort(ranked.begin(), ranked.end(), [](const RankedSlot& a, const RankedSlot& b) {
    return IsBetter({a.slot, a.score}, {b.slot, b.score});
  });
  return ranked;
}

absl::StatusOr<SearchResult> CollectionIndex::Search(const SearchQuery& query) const {
  const TextBags terms = AnalyzeText(query.text);
  SearchResult result;
  absl::ReaderMutexLock lock(&mutex_);
  result.mode = ServedMode(query);
  result.generation = fitted_ == nullptr ? 0 : fitted_->generation;
  const size_t count = std::max(query.top_k, kConfidenceChunks);
  std::vector<RankedSlot> ranked;
  if (result.mode == Mode::kDense) {
    ranked = RankDense(terms.words, query, count);
  } else {
    Legs legs;
    legs.search = &query;
    ScoreLegs(terms, result.mode, legs);
    ranked = Rank(legs, count);
  }

  // The confidence is measured with cosines of the fitted space. Those of other embedders lie
  // anywhere, often above 0.5 for texts that have nothing in common.
  const bool counts_cosines = fitted_ != nullptr && fitted_->space != nullptr;
  std::vector<RankedChunk> best;
  for (const auto& [slot, score, cosine] : ranked) {
    if (best.size() < kConfidenceChunks) {
      best.push_back({slot, counts_cosines ? cosine : absl::nullopt});
    }
    if (result.hits.size() < query.top_k) {
      result.hits.push_back({chunks_[slot].document, chunks_[slot].ordinal, score, {}});
    }
  }
  result.confidence = Confidence(terms.words, lexical_.words(), best);
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
