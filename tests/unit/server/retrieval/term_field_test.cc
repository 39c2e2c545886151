#include "server/retrieval/term_field.h"

#include <cmath>
#include <map>
#include <random>

#include "gtest/gtest.h"

namespace aibackend::retrieval {
namespace {

std::vector<float> Score(const TermField& field, const Bag& query, size_t slots) {
  RowScores scores;
  scores.Grow(slots);
  field.Score(query, scores);
  std::vector<float> by_slot;
  for (size_t slot = 0; slot < slots; ++slot) by_slot.push_back(scores[slot]);
  return by_slot;
}

TEST(TermFieldTest, Bm25IsWhatAHandComputes) {
  TermField field;
  field.Add(0, {{1, 2}, {2, 1}});  // length 3
  field.Add(1, {{2, 1}});          // length 1
  field.Add(2, {{3, 5}});          // length 5; mean 3
  const std::vector<float> scores = Score(field, {{1, 1}, {2, 2}, {99, 1}}, 3);
  // idf(1) = ln(1 + 2.5 / 1.5) = .980829, idf(2) = ln(1 + 1.5 / 2.5) = .470004
  // chunk 0: l / mean = 1, norm 1.2: .980829 * 2 * 2.2 / 3.2 + 2 * .470004 * 2.2 / 2.2 = 2.288648
  // chunk 1: l / mean = 1/3, norm .6: 2 * .470004 * 2.2 / 1.6 = 1.292511
  EXPECT_NEAR(scores[0], 2.288648, 1e-5);
  EXPECT_NEAR(scores[1], 1.292511, 1e-5);
  EXPECT_EQ(scores[2], 0);
  for (Slot slot = 0; slot < 3; ++slot) {
    EXPECT_EQ(field.ScoreOne({{1, 1}, {2, 2}, {99, 1}}, slot), scores[slot]);
  }
}

Bag RandomBag(std::mt19937& random) {
  std::map<Term, float> counts;
  const int terms = std::uniform_int_distribution<int>(0, 12)(random);
  for (int i = 0; i < terms; ++i) ++counts[std::uniform_int_distribution<Term>(0, 40)(random)];
  Bag bag;
  for (const auto& [term, count] : counts) bag.push_back({term, count});
  return bag;
}

TEST(TermFieldTest, StatisticsAfterAddsAndRemovesEqualACleanBuild) {
  std::mt19937 random(7);
  TermField field;
  std::map<Slot, Bag> kept;
  for (Slot slot = 0; slot < 400; ++slot) {
    kept[slot] = RandomBag(random);
    field.Add(slot, kept[slot]);
    if (slot % 3 == 2) {
      auto victim = kept.begin();
      std::advance(victim, std::uniform_int_distribution<size_t>(0, kept.size() - 1)(random));
      field.Remove(victim->first, victim->second);
      kept.erase(victim);
    }
  }
  TermField clean;
  for (const auto& [slot, bag] : kept) clean.Add(slot, bag);

  EXPECT_EQ(field.chunks(), clean.chunks());
  EXPECT_EQ(field.terms(), clean.terms());
  EXPECT_EQ(field.total_length(), clean.total_length());
  for (Term term = 0; term <= 41; ++term) {
    EXPECT_EQ(field.DocumentFrequency(term), clean.DocumentFrequency(term));
    EXPECT_EQ(Score(field, {{term, 1}}, 400), Score(clean, {{term, 1}}, 400));
  }
}

TEST(TermFieldTest, AnEmptyChunkCountsInN) {
  TermField field;
  field.Add(0, {{1, 1}});
  const double alone = field.Idf(1);
  field.Add(1, {});
  EXPECT_EQ(field.chunks(), 2U);
  EXPECT_GT(field.Idf(1), alone);
}

}  // namespace
}  // namespace aibackend::retrieval
