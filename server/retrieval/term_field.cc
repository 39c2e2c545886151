#include "server/retrieval/term_field.h"

#include <algorithm>
#include <cmath>

namespace aibackend::retrieval {
namespace {

float Length(const Bag& bag) {
  double length = 0;
  for (const TermCount& t : bag) length += t.count;
  return static_cast<float>(length);
}

}  // namespace

void TermField::Add(Slot slot, const Bag& bag) {
  lengths_.resize(slot + 1, 0);
  lengths_[slot] = Length(bag);
  total_length_ += lengths_[slot];
  ++chunks_;
  for (const TermCount& t : bag) postings_[t.term].push_back({slot, t.count});
}

void TermField::Remove(Slot slot, const Bag& bag) {
  total_length_ -= lengths_[slot];
  lengths_[slot] = 0;
  --chunks_;
  for (const TermCount& t : bag) {
    const auto found = postings_.find(t.term);
    if (found == postings_.end()) continue;
    Postings& list = found->second;
    const auto posting = std::lower_bound(list.begin(), list.end(), slot, IsBefore());
    if (posting != list.end() && posting->slot == slot) list.erase(posting);
    if (list.empty()) postings_.erase(found);
  }
}

size_t TermField::DocumentFrequency(Term term) const {
  const auto found = postings_.find(term);
  return found == postings_.end() ? 0 : found->second.size();
}

float TermField::Count(Term term, Slot slot) const {
  const auto found = postings_.find(term);
  if (found == postings_.end()) return 0;
  const Postings& list = found->second;
  const auto posting = std::lower_bound(list.begin(), list.end(), slot, IsBefore());
  return posting != list.end() && posting->slot == slot ? posting->count : 0;
}

double TermField::Idf(Term term, size_t chunks_min) const {
  const auto n = static_cast<double>(std::max(chunks_, chunks_min));
  const auto df = static_cast<double>(DocumentFrequency(term));
  return std::log(1 + (n - df + 0.5) / (df + 0.5));
}

double TermField::LengthNorm(Slot slot) const {
  const double mean = std::max(total_length_ / std::max<double>(1, chunks_), 1e-9);
  return kBm25K1 * (1 - kBm25B + kBm25B * lengths_[slot] / mean);
}

TermField::Norm TermField::CurrentNorm() const {
  const double mean = std::max(total_length_ / std::max<double>(1, chunks_), 1e-9);
  return {static_cast<float>(kBm25K1 * (1 - kBm25B)), static_cast<float>(kBm25K1 * kBm25B / mean)};
}

float TermField::Weight(const TermCount& t) const {
  return static_cast<float>(t.count * Idf(t.term) * (kBm25K1 + 1));
}

void TermField::Score(const Bag& query, RowScores& scores) const {
  const Norm norm = CurrentNorm();
  for (const TermCount& t : query) {
    const auto found = postings_.find(t.term);
    if (found == postings_.end()) continue;
    const float weight = Weight(t);
    for (const Posting& p : found->second) {
      scores.Add(p.slot, weight * p.count / (p.count + norm.base + norm.slope * lengths_[p.slot]));
    }
  }
}

float TermField::ScoreOne(const Bag& query, Slot slot) const {
  const Norm norm = CurrentNorm();
  float score = 0;
  for (const TermCount& t : query) {
    const float count = Count(t.term, slot);
    if (count == 0) continue;
    score += Weight(t) * count / (count + norm.base + norm.slope * lengths_[slot]);
  }
  return score;
}

}  // namespace aibackend::retrieval
