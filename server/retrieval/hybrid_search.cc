#include "server/retrieval/hybrid_search.h"

#include <algorithm>
#include <cmath>
#include <queue>
#include <utility>

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

// By which scores of different scales become comparable: the greatest becomes 1.
float ScaleOf(float greatest) {
  return greatest > 1e-9F ? 1 / greatest : 1;
}

// N of the header; 0 for NaN, which only a row without a finite vector has.
inline float Normalised(float score, float scale) {
  const float scaled = score * scale;
  const float positive = scaled > 0 ? scaled : 0;
  return positive < 1 ? positive : 1;
}

// The score by which feedback chunks are chosen.
inline float FeedbackChoice(float words, float dense) {
  return 0.8F * words + 0.2F * dense;
}

// (1 - share) own + share root of the neighbours' weighted squares.
double WithNeighbours(double own, double neighbours, double share) {
  return (1 - share) * own + share * neighbours;
}

template <typename Score>
double NeighboursOf(const std::array<Neighbour, kNeighbours>& neighbours, Score score) {
  double squares = 0;
  for (const Neighbour& n : neighbours) {
    if (n.weight == 0) continue;
    const double fused = score(n.text);
    squares += n.weight * fused * fused;
  }
  return std::sqrt(squares);
}

}  // namespace

std::unique_ptr<SearchScratch> ScratchPool::Take() {
  absl::MutexLock lock(&mutex_);
  if (free_.empty()) return std::make_unique<SearchScratch>();
  std::unique_ptr<SearchScratch> scratch = std::move(free_.back());
  free_.pop_back();
  return scratch;
}

void ScratchPool::Give(std::unique_ptr<SearchScratch> scratch) {
  absl::MutexLock lock(&mutex_);
  free_.push_back(std::move(scratch));
}

HybridSearch::HybridSearch(const SearchView& view, LegSet legs, ScratchPool& pool)
    : view_(view), legs_(legs), pool_(pool), scratch_(pool.Take()) {
  used_.reserve(kLegs);  // so that pointers into it stay
  scratch_->words.Grow(view.slots);
  scratch_->leg.Grow(view.slots);
  scratch_->lexical.Grow(view.slots);
}

HybridSearch::~HybridSearch() {
  scratch_->words.Clear();
  scratch_->lexical.Clear();
  pool_.Give(std::move(scratch_));
}

std::vector<RankedSlot> HybridSearch::Rank(const TextBags& query, const float* vector,
                                           size_t top_k) {
  ScoreLexicalLegs(query);
  if (vector != nullptr) ScoreVectorLegs(vector);
  BoundFused();
  const std::vector<ScoredRow> pool = scratch_->bounds.Best(
      std::max(kRescoredChunks, top_k), [this](size_t row) { return Fused(row); });
  return LetNeighboursSpeak(pool, ShareOfNeighbours(query), top_k);
}

void HybridSearch::ScoreLexicalLegs(const TextBags& query) {
  const LexicalIndex& lexical = *view_.lexical;
  ScoreLexical(Leg::kWords, kWordsWeight, lexical.words(), query.words, scratch_->words);
  ScoreLexical(Leg::kBigrams, kBigramsWeight, lexical.bigrams(), query.bigrams, scratch_->leg);
  ScoreLexical(Leg::kChars, kCharsWeight, lexical.chars(), query.chars, scratch_->leg);
  ScoreLexical(Leg::kUnstemmed, kUnstemmedWeight, lexical.unstemmed(), query.unstemmed,
               scratch_->leg);
  if (view_.expanded != nullptr) {
    ScoreLexical(Leg::kExpanded, kExpandedWeight, *view_.expanded, query.words, scratch_->leg);
  }
}

void HybridSearch::ScoreLexical(Leg leg, float weight, const TermField& field, const Bag& terms,
                                RowScores& scores) {
  if (!legs_.Has(leg)) return;
  field.Score(terms, scores);
  scores.Restrict(*view_.allowed);
  const float scale = ScaleOf(scores.Greatest());
  scratch_->lexical.AddScaled(scores, scale, weight);
  used_.push_back({leg, weight, scale, &field, &terms, {}});
  if (leg == Leg::kWords) {
    words_ = &used_.back();
  } else {
    scores.Clear();
  }
}

void HybridSearch::ScoreVectorLegs(const float* vector) {
  const size_t size = view_.vectors->dimensions();
  const size_t rows = scratch_->lexical.blocks() * kBlockRows;
  std::vector<float> asked(vector, vector + size);
  if (legs_.Has(Leg::kDense)) {
    scratch_->dense.resize(rows);
    ScoreVector(Leg::kDense, kDenseWeight, asked, scratch_->dense.data());
    dense_ = &used_.back();
  }
  if (legs_.Has(Leg::kFeedback) && AddFeedback(asked.data())) {
    scratch_->feedback.resize(rows);
    ScoreVector(Leg::kFeedback, kFeedbackWeight, std::move(asked), scratch_->feedback.data());
    feedback_ = &used_.back();
  }
}

void HybridSearch::ScoreVector(Leg leg, float weight, std::vector<float> vector, float* uppers) {
  VectorQuery query{vector.data(), 1, view_.allowed};
  query.uppers = uppers;
  const TopRows best = view_.gate->Search(query);
  const float scale = ScaleOf(best.rows.empty() ? 0 : best.rows.front().score);
  used_.push_back({leg, weight, scale, nullptr, nullptr, std::move(vector)});
}

// Adds the mean of the feedback chunks; false where the sum is 0.
bool HybridSearch::AddFeedback(float* vector) {
  const RowScores& words = scratch_->words;
  const float words_scale = words_ == nullptr ? 0 : words_->scale;
  const float dense_scale = dense_ == nullptr ? 0 : dense_->scale;
  UpperBounds& bounds = scratch_->bounds;
  bounds.Reset(view_.slots);
  for (size_t block = 0; block < bounds.blocks(); ++block) {
    float* __restrict to = bounds.Block(block);
    const uint64_t allowed = view_.allowed->Word(block);
    if (allowed == 0 || (dense_ == nullptr && !words.IsTouched(block))) {
      std::fill_n(to, kBlockRows, 0.0F);
    } else if (dense_ == nullptr) {
      const float* __restrict w = words.Block(block);
      for (size_t i = 0; i < kBlockRows; ++i) to[i] = FeedbackChoice(w[i] * words_scale, 0);
    } else {
      const float* __restrict w = words.Block(block);
      const float* __restrict d = scratch_->dense.data() + block * kBlockRows;
      for (size_t i = 0; i < kBlockRows; ++i) {
        to[i] = FeedbackChoice(w[i] * words_scale, Normalised(d[i], dense_scale));
      }
      if (~allowed != 0) {
        for (size_t i = 0; i < kBlockRows; ++i) to[i] = (allowed >> i & 1) != 0 ? to[i] : 0;
      }
    }
    bounds.Seal(block);
  }
  const size_t size = view_.vectors->dimensions();
  const std::vector<ScoredRow> first = bounds.Best(kFeedbackChunks, [&](size_t row) {
    const float dense =
        dense_ == nullptr
            ? 0
            : Normalised(ScoreOf(dense_->vector.data(), view_.vectors->Row(row), size),
                         dense_scale);
    return FeedbackChoice(words[row] * words_scale, dense);
  });
  for (const ScoredRow& chosen : first) {
    const float* row = view_.vectors->Row(chosen.row);
    for (size_t i = 0; i < size; ++i) vector[i] += row[i] / kFeedbackChunks;
  }
  return Normalise(vector, size);
}

// U of the header, for every row. Without vector legs it is the score itself.
void HybridSearch::BoundFused() {
  UpperBounds& bounds = scratch_->bounds;
  bounds.Reset(view_.slots);
  scratch_->exact = RowSet();
  const bool has_vectors = dense_ != nullptr || feedback_ != nullptr;
  for (size_t block = 0; block < bounds.blocks(); ++block) {
    float* __restrict to = bounds.Block(block);
    const uint64_t allowed = view_.allowed->Word(block);
    const float* __restrict lexical = scratch_->lexical.Block(block);
    std::copy_n(lexical, kBlockRows, to);
    if (has_vectors && allowed != 0) {
      for (const UsedLeg* leg : {dense_, feedback_}) {
        if (leg == nullptr) continue;
        const std::vector<float>& uppers = leg == dense_ ? scratch_->dense : scratch_->feedback;
        const float* __restrict u = uppers.data() + block * kBlockRows;
        const float weight = leg->weight;
        const float scale = leg->scale;
        for (size_t i = 0; i < kBlockRows; ++i) to[i] += weight * Normalised(u[i], scale);
      }
      if (~allowed != 0) {
        for (size_t i = 0; i < kBlockRows; ++i) to[i] = (allowed >> i & 1) != 0 ? to[i] : 0;
      }
    }
    bounds.Seal(block);
  }
}

float HybridSearch::Fused(size_t row) {
  UpperBounds& bounds = scratch_->bounds;
  if (scratch_->exact.Contains(row) || !view_.allowed->Contains(row)) return bounds[row];
  float fused = scratch_->lexical[row];
  for (const UsedLeg* leg : {dense_, feedback_}) {
    if (leg == nullptr) continue;
    const float score =
        ScoreOf(leg->vector.data(), view_.vectors->Row(row), view_.vectors->dimensions());
    fused += leg->weight * Normalised(score, leg->scale);
  }
  bounds.Lower(row, fused);
  scratch_->exact.Add(row);
  return fused;
}

// A short query says little of its own, so the neighbours say more.
double HybridSearch::ShareOfNeighbours(const TextBags& query) const {
  if (view_.graph == nullptr || !legs_.Has(Leg::kNeighbours)) return 0;
  const auto known = std::count_if(query.words.begin(), query.words.end(), [&](const auto& t) {
    return view_.lexical->words().DocumentFrequency(t.term) > 0;
  });
  return 0.15 + 0.15 * std::clamp((6 - static_cast<double>(known)) / 3, 0.0, 1.0);
}

std::vector<RankedSlot> HybridSearch::LetNeighboursSpeak(const std::vector<ScoredRow>& pool,
                                                         double share, size_t top_k) {
  if (pool.empty() || top_k == 0) return {};
  const float scale = ScaleOf(pool.front().score);
  struct Candidate {
    RankedSlot ranked;
    double upper = 0;
  };
  std::vector<Candidate> candidates;
  for (const ScoredRow& row : pool) {
    Candidate c{{row.row, 0, row.score * scale, 0, 0}, 0};
    c.upper = c.ranked.fused;
    // Chunks newer than the fit have no neighbours yet: they stand for themselves.
    if (share > 0 && row.row < view_.graph->size()) {
      c.ranked.neighbour_share = share;
      const double most = NeighboursOf(
          (*view_.graph)[row.row], [&](size_t other) { return scratch_->bounds[other] * scale; });
      c.upper = WithNeighbours(c.ranked.fused, most, share);
    }
    candidates.push_back(c);
  }
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.upper > b.upper; });

  std::vector<RankedSlot> ranked;
  std::priority_queue<double, std::vector<double>, std::greater<>> best;  // the worst on top
  for (Candidate& c : candidates) {
    if (best.size() == top_k && c.upper < best.top()) break;
    if (c.ranked.neighbour_share > 0) {
      c.ranked.neighbours = NeighboursOf((*view_.graph)[c.ranked.slot],
                                         [&](size_t other) { return Fused(other) * scale; });
    }
    c.ranked.score = WithNeighbours(c.ranked.fused, c.ranked.neighbours, c.ranked.neighbour_share);
    best.push(c.ranked.score);
    if (best.size() > top_k) best.pop();
    ranked.push_back(c.ranked);
  }
  std::sort(ranked.begin(), ranked.end(), [](const RankedSlot& a, const RankedSlot& b) {
    return a.score != b.score ? a.score > b.score : a.slot < b.slot;
  });
  if (ranked.size() > top_k) ranked.resize(top_k);
  return ranked;
}

std::vector<Explanation::Leg> HybridSearch::LegsOf(Slot slot) const {
  std::vector<Explanation::Leg> legs;
  for (const UsedLeg& leg : used_) {
    const float score = leg.field != nullptr ? leg.field->ScoreOne(*leg.terms, slot)
                                             : ScoreOf(leg.vector.data(), view_.vectors->Row(slot),
                                                       view_.vectors->dimensions());
    legs.push_back({LegName(leg.leg), score, Normalised(score, leg.scale), leg.weight});
  }
  return legs;
}

}  // namespace aibackend::retrieval
