#include "server/tasks/ranking_measures.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace aibackend::tasks {
namespace {

constexpr double kExact = 1e-12;

TEST(RankingMeasuresTest, AnExampleByHand) {
  const Judgements judgements = {{"a", 3}, {"b", 2}, {"c", 1}};
  const Ranking ranking = {"x", "b", "y", "a"};
  // Ranks 2 and 4 gain 2/log2(3) and 3/log2(5); the best possible are 3/1 + 2/log2(3) + 1/log2(4).
  const double gained = 2 / std::log2(3.0) + 3 / std::log2(5.0);
  const double ideal = 3 + 2 / std::log2(3.0) + 0.5;
  EXPECT_NEAR(NdcgAt(10, judgements, ranking), gained / ideal, kExact);
  EXPECT_NEAR(NdcgAt(10, judgements, ranking), 0.536, 5e-4);
  EXPECT_NEAR(RecallAt(100, judgements, ranking), 2.0 / 3, kExact);
  EXPECT_NEAR(ReciprocalRankAt(10, judgements, ranking), 0.5, kExact);
}

TEST(RankingMeasuresTest, TheBestPossibleRankingIsOneInEachMeasure) {
  const Judgements judgements = {{"a", 2}, {"b", 1}};
  EXPECT_NEAR(NdcgAt(10, judgements, {"a", "b", "x"}), 1, kExact);
  EXPECT_NEAR(RecallAt(100, judgements, {"a", "b", "x"}), 1, kExact);
  EXPECT_NEAR(ReciprocalRankAt(10, judgements, {"a", "b", "x"}), 1, kExact);
}

TEST(RankingMeasuresTest, WhereJudgementsTieTheirOrderDoesNotMatter) {
  const Judgements judgements = {{"a", 1}, {"b", 1}, {"c", 1}};
  EXPECT_NEAR(NdcgAt(10, judgements, {"c", "x", "a", "b"}),
              NdcgAt(10, judgements, {"a", "x", "b", "c"}), kExact);
}

TEST(RankingMeasuresTest, ADocumentThatComesAgainCountsOnceAndTakesNoRank) {
  const Judgements judgements = {{"a", 1}, {"b", 1}};
  const Ranking once = {"a", "x", "b"};
  const Ranking again = {"a", "a", "x", "a", "x", "b", "b"};
  EXPECT_NEAR(NdcgAt(10, judgements, again), NdcgAt(10, judgements, once), kExact);
  EXPECT_NEAR(RecallAt(3, judgements, again), 1, kExact);
  EXPECT_NEAR(ReciprocalRankAt(2, judgements, {"x", "x", "a"}), 0.5, kExact);
}

TEST(RankingMeasuresTest, NothingRelevantIsZeroInEachMeasure) {
  for (const Judgements& judgements : {Judgements(), Judgements{{"a", 0}, {"b", -1}}}) {
    EXPECT_FALSE(HasRelevant(judgements));
    EXPECT_EQ(NdcgAt(10, judgements, {"a", "b"}), 0);
    EXPECT_EQ(RecallAt(100, judgements, {"a", "b"}), 0);
    EXPECT_EQ(ReciprocalRankAt(10, judgements, {"a", "b"}), 0);
  }
}

TEST(RankingMeasuresTest, NothingFoundIsZeroInEachMeasure) {
  const Judgements judgements = {{"a", 1}};
  EXPECT_TRUE(HasRelevant(judgements));
  EXPECT_EQ(NdcgAt(10, judgements, {}), 0);
  EXPECT_EQ(RecallAt(100, judgements, {}), 0);
  EXPECT_EQ(ReciprocalRankAt(10, judgements, {}), 0);
}

TEST(RankingMeasuresTest, UnjudgedAndNegativeDocumentsGainNothingAndCostTheirRank) {
  const Judgements judgements = {{"a", 1}, {"spam", -2}};
  EXPECT_NEAR(NdcgAt(10, judgements, {"spam", "unjudged", "a"}), 0.5, kExact);  // 1/log2(4)
  EXPECT_NEAR(ReciprocalRankAt(10, judgements, {"spam", "unjudged", "a"}), 1.0 / 3, kExact);
  EXPECT_NEAR(RecallAt(100, judgements, {"spam", "unjudged", "a"}), 1, kExact);
}

TEST(RankingMeasuresTest, WhatComesAfterTheCutoffDoesNotCount) {
  const Judgements judgements = {{"d2", 1}, {"d3", 1}};
  Ranking ranking;
  for (int i = 1; i <= 3; ++i) ranking.push_back(absl::StrCat("d", i));
  EXPECT_NEAR(RecallAt(2, judgements, ranking), 0.5, kExact);
  EXPECT_NEAR(RecallAt(3, judgements, ranking), 1, kExact);
  EXPECT_EQ(ReciprocalRankAt(1, judgements, ranking), 0);
  EXPECT_EQ(NdcgAt(1, judgements, ranking), 0);
}

// More relevant documents than ranks: the best ten are the ideal, so that 1 can be reached.
TEST(RankingMeasuresTest, TheIdealIsCutOffToo) {
  Judgements judgements;
  Ranking ranking;
  for (int i = 0; i < 20; ++i) {
    ranking.push_back(absl::StrCat("d", i));
    judgements[ranking.back()] = 1;
  }
  EXPECT_NEAR(NdcgAt(10, judgements, ranking), 1, kExact);
  EXPECT_NEAR(RecallAt(10, judgements, ranking), 0.5, kExact);
}

}  // namespace
}  // namespace aibackend::tasks
