#include "server/retrieval/analyzer.h"

#include <ctime>

#include "gmock/gmock.h"

namespace aibackend::retrieval {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
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

// Every text of the test in that language; English again afterwards.
class LanguageTest : public ::testing::Test {
 protected:
  ~LanguageTest() override { EXPECT_TRUE(UseLanguage("english").ok()); }
};

TEST_F(LanguageTest, GermanUmlautsAndSharpSAreFoldedBeforeTheyAreStemmed) {
  ASSERT_TRUE(UseLanguage("german").ok());
  EXPECT_EQ(AnalyzeWords("Häuser"), AnalyzeWords("HAUS"));
  EXPECT_EQ(AnalyzeWords("a\u0308pfel"), AnalyzeWords("Äpfel"));
  EXPECT_EQ(AnalyzeWords("Straße"), AnalyzeWords("STRASSEN"));
  EXPECT_THAT(AnalyzeWords("Ich weiß, daß die Rechnungen für euch sind"),
              ElementsAre("weiss", "rechnung"));
}

TEST_F(LanguageTest, WhatFrenchAndItalianElideIsNoWord) {
  ASSERT_TRUE(UseLanguage("french").ok());
  EXPECT_THAT(AnalyzeWords("l'eau qu\u2019il boit aujourd'hui"),
              ElementsAre("eau", "boit", "aujourd", "hui"));
  EXPECT_EQ(AnalyzeWords("L\u2019eau"), AnalyzeWords("les eaux"));
  ASSERT_TRUE(UseLanguage("italian").ok());
  EXPECT_THAT(AnalyzeWords("dell'acqua nell\u2019anima"), ElementsAre("acqua", "anim"));
}

TEST_F(LanguageTest, TurkishTellsItsTwoLettersIApart) {
  EXPECT_EQ(AnalyzeWords("ISIL"), AnalyzeWords("isil"));  // English doesn't
  ASSERT_TRUE(UseLanguage("turkish").ok());
  EXPECT_EQ(AnalyzeWords("ISPARTA"), AnalyzeWords("ısparta"));
  EXPECT_NE(AnalyzeWords("ISPARTA"), AnalyzeWords("isparta"));
  EXPECT_EQ(AnalyzeWords("İSTANBUL"), AnalyzeWords("istanbul"));
  EXPECT_EQ(AnalyzeWords("I\u0307STANBUL"), AnalyzeWords("istanbul"));
}

TEST_F(LanguageTest, RussianIsStemmedAndFolded) {
  ASSERT_TRUE(UseLanguage("russian").ok());
  EXPECT_THAT(AnalyzeWords("КНИГИ книга книгой"), ElementsAre("книг", "книг", "книг"));
}

TEST_F(LanguageTest, SpanishPortugueseAndDutchHaveStopWordsOfTheirOwn) {
  ASSERT_TRUE(UseLanguage("spanish").ok());
  EXPECT_THAT(AnalyzeWords("Las facturas de la empresa están aquí"),
              ElementsAre("factur", "empres"));
  ASSERT_TRUE(UseLanguage("portuguese").ok());
  EXPECT_THAT(AnalyzeWords("As contas não são do João"), ElementsAre("cont", "joã"));
  ASSERT_TRUE(UseLanguage("dutch").ok());
  EXPECT_THAT(AnalyzeWords("de rekeningen zijn van mij"), ElementsAre("reken"));
}

TEST_F(LanguageTest, NoneLeavesWordsAsTheyAre) {
  ASSERT_TRUE(UseLanguage("none").ok());
  EXPECT_THAT(AnalyzeWords("The Refunds were GRANTED"),
              ElementsAre("the", "refunds", "were", "granted"));
}

TEST_F(LanguageTest, AnUnknownLanguageIsRefusedWithTheKnownAndChangesNothing) {
  const absl::Status refused = UseLanguage("klingon");
  EXPECT_FALSE(refused.ok());
  EXPECT_THAT(std::string(refused.message()), HasSubstr("none, arabic"));
  EXPECT_THAT(AnalyzeWords("refunds"), ElementsAre("refund"));
}

TEST_F(LanguageTest, TheVersionNamesTheLanguage) {
  const std::string english = AnalyzerVersion();
  EXPECT_THAT(english, HasSubstr("english"));
  ASSERT_TRUE(UseLanguage("german").ok());
  EXPECT_NE(AnalyzerVersion(), english);
}

TEST_F(LanguageTest, EnglishIsWhatItWas) {
  // A fingerprint of the terms of a text with all that the analyzer treats apart; a change of it
  // is a new method: AnalyzerVersion must say so.
  const TextBags bags = AnalyzeText(
      "The customers' refunds (granted in \u2018Zürich\u2019) weren't Newton's; ISTANBUL l'eau "
      "Straße "
      "東京都の値段 ﬁle ① naïve relational databases.");
  Term all = 0;
  for (const Bag* bag : {&bags.words, &bags.bigrams, &bags.chars, &bags.unstemmed}) {
    for (const TermCount& each : *bag) all = all * 31 + each.term * static_cast<Term>(each.count);
  }
  EXPECT_EQ(all, 16925788210780067126ULL);
}

}  // namespace
}  // namespace aibackend::retrieval
