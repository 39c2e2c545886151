#include "server/retrieval/analyzer.h"

#include <ctime>

#include "gmock/gmock.h"

namespace aibackend::retrieval {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(AnalyzerTest, WordsAreFoldedStemmedAndStopWordsDropped) {
  EXPECT_THAT(AnalyzeWords("The Refunds were GRANTED to customers"),
              ElementsAre("refund", "grant", "custom"));
}

TEST(AnalyzerTest, APossessiveLosesItsEnding) {
  EXPECT_THAT(AnalyzeWords("Newton's laws, Newton\u2019s law"),
              ElementsAre("newton", "law", "newton", "law"));
  EXPECT_THAT(AnalyzeWords("O'Shea"), ElementsAre("o", "shea"));  // 's inside a word stays
}

TEST(AnalyzerTest, CompatibilityFormsAreTheSameWord) {
  EXPECT_EQ(AnalyzeWords("ＡＢＣ ﬁle ①"), AnalyzeWords("abc file 1"));
  EXPECT_EQ(AnalyzeWords("cafe\u0301"), AnalyzeWords("CAFÉ"));
}

TEST(AnalyzerTest, JapaneseGivesCharactersAndPairs) {
  EXPECT_THAT(AnalyzeWords("東京都"), ElementsAre("東", "京", "都", "東京", "京都"));
  EXPECT_THAT(AnalyzeWords("GPUの値段"), ElementsAre("の", "値", "段", "の値", "値段", "gpu"));
}

TEST(AnalyzerTest, PunctuationAndNothingGiveNothing) {
  EXPECT_THAT(AnalyzeWords(""), IsEmpty());
  EXPECT_THAT(AnalyzeWords("… — !? _ 。"), IsEmpty());
}

TEST(AnalyzerTest, MalformedBytesAreNoWords) {
  EXPECT_THAT(AnalyzeWords("good\xFF\xC3 word"), ElementsAre("good", "word"));
}

TEST(AnalyzerTest, AnEndlessWordIsCut) {
  const auto words = AnalyzeWords(std::string(1 << 20, 'x'));
  ASSERT_EQ(words.size(), 1U);
  EXPECT_LE(words[0].size(), kWordBytesMax);
}

TEST(AnalyzerTest, AFloodOfCombiningMarksCostsNoMoreThanOtherText) {
  // Each pair is in the wrong order, so that a normaliser moves every mark past all before it.
  for (const char* pair : {"\u0301\u0323", "\u0301\uFF9E", "\u0301\u0F73"}) {
    std::string text = "flood e";
    while (text.size() < (1 << 19)) text += pair;
    text += " ends";
    const std::clock_t start = std::clock();
    const auto words = AnalyzeWords(text);
    EXPECT_LT(std::clock() - start, 3 * CLOCKS_PER_SEC) << "some 20 s where the marks are ordered";
    EXPECT_THAT(words, Contains("flood"));
    EXPECT_THAT(words, Contains("end"));
  }
  std::string stacked = "e";
  for (int i = 0; i < 30; ++i) stacked += "\u0323";
  EXPECT_NE(AnalyzeWords(stacked), AnalyzeWords("e")) << "what a language could write is kept";
}

TEST(AnalyzerTest, BagsCountEachLeg) {
  const TextBags bags = AnalyzeText("running running house");
  EXPECT_EQ(CountOf(bags.words, Fingerprint("run")), 2);
  EXPECT_EQ(CountOf(bags.unstemmed, Fingerprint("running")), 2);
  EXPECT_EQ(bags.bigrams.size(), 2U);  // run run, run house
  EXPECT_EQ(bags.chars.size(), 6U);    // ^runn… of ^running$ alone: house is short
  EXPECT_EQ(CountOf(bags.chars, Fingerprint("^run")), 2);
}

TEST(AnalyzerTest, AddingBagsAddsCounts) {
  const Bag a = {{1, 1}, {5, 2}};
  const Bag b = {{0, 1}, {5, 4}, {9, 1}};
  const Bag sum = AddBags(a, b, 0.5F);
  EXPECT_EQ(CountOf(sum, 0), 0.5F);
  EXPECT_EQ(CountOf(sum, 1), 1);
  EXPECT_EQ(CountOf(sum, 5), 4);
  EXPECT_EQ(CountOf(sum, 9), 0.5F);
  EXPECT_EQ(sum.size(), 4U);
}

}  // namespace
}  // namespace aibackend::retrieval
