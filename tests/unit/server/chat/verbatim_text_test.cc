#include "server/chat/verbatim_text.h"

#include <gtest/gtest.h>

#include <string>

namespace aibackend::chat {
namespace {

// The bytes found, or "-".
std::string Found(absl::string_view text, absl::string_view quote) {
  const auto span = VerbatimText(text).Find(quote);
  if (!span) return "-";
  return std::string(text.substr(span->start, span->end - span->start));
}

TEST(VerbatimText, FindsWholeWordsOnly) {
  EXPECT_EQ(Found("The turtle swims.", "turtle swims"), "turtle swims");
  EXPECT_EQ(Found("The turtle swims.", "turtle swim"), "-");
  EXPECT_EQ(Found("The turtle swims.", "urtle"), "-");
  EXPECT_EQ(Found("party art", "art"), "art");
  EXPECT_EQ(Found("café", "caf"), "-");
  EXPECT_EQ(Found("The turtle swims.", "the turtle"), "-");
  EXPECT_EQ(Found("The turtle swims.", "turtle flies"), "-");
  EXPECT_EQ(Found("The turtle swims.", "turtle … swims"), "-");
}

TEST(VerbatimText, AnyRunOfWhiteSpaceEqualsAnother) {
  EXPECT_EQ(Found("a  big\n\tturtle", " a big turtle\n"), "a  big\n\tturtle");
  EXPECT_EQ(Found("10\u00a0km away", "10 km"), "10\u00a0km");
  EXPECT_EQ(Found("abig", "a big"), "-");
}

TEST(VerbatimText, CurlyMarksEqualStraightOnesAndTheLastPunctuationIsTheQuoters) {
  EXPECT_EQ(Found("It’s “so” here", "It's \"so\" here"), "It’s “so” here");
  EXPECT_EQ(Found("It swims; it dives", "It swims,"), "It swims");
  EXPECT_EQ(Found("It swims. It dives", "It swims."), "It swims.");
}

TEST(VerbatimText, WordsOfScriptsWithoutSpacesNeedNoBorder) {
  EXPECT_EQ(Found("亀は海で泳ぐ。", "海で泳"), "海で泳");
  EXPECT_EQ(Found("亀は海で泳ぐ。", "空を飛ぶ"), "-");
}

TEST(VerbatimText, WhatHasNoWordIsNowhere) {
  for (const char* quote : {"", " ", ".", "…", "\"", "\xE6", "\x80"}) {
    EXPECT_EQ(Found("A turtle. … \" 海", quote), "-") << quote;
  }
  EXPECT_EQ(Found("", "a"), "-");
}

TEST(VerbatimText, BytesThatAreNoCharacterMatchNoPartOfOne) {
  EXPECT_EQ(Found("x海", "x\xE6"), "-");
  EXPECT_EQ(Found("海x", "\xB7x"), "-");
}

TEST(IsPassageQuote, ThreeWordsOrEightUnspacedCharacters) {
  EXPECT_TRUE(IsPassageQuote("the turtle swims"));
  EXPECT_FALSE(IsPassageQuote("sea turtle"));
  EXPECT_FALSE(IsPassageQuote("- - -"));
  EXPECT_TRUE(IsPassageQuote("亀は海で泳ぎます"));
  EXPECT_FALSE(IsPassageQuote("亀は海で泳ぐ"));
}

}  // namespace
}  // namespace aibackend::chat
