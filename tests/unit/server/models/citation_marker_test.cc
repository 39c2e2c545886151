#include "server/models/citation_marker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace aibackend::models {
namespace {

using ::testing::ElementsAre;

MarkerKind KindOf(absl::string_view text, bool is_all = true) {
  CitationMarker marker;
  return ReadMarker(text, is_all, &marker);
}

TEST(ReadMarker, NumbersInBrackets) {
  CitationMarker marker;
  ASSERT_EQ(ReadMarker("[2] x", false, &marker), MarkerKind::kMarker);
  EXPECT_THAT(marker.numbers, ElementsAre(2));
  EXPECT_EQ(marker.bytes, 3u);
  ASSERT_EQ(ReadMarker("[ 1 ,\n3 ]", false, &marker), MarkerKind::kMarker);
  EXPECT_THAT(marker.numbers, ElementsAre(1, 3));
  ASSERT_EQ(ReadMarker("[99999999999999999999]", false, &marker), MarkerKind::kMarker);
  EXPECT_THAT(marker.numbers, ElementsAre(0));
}

TEST(ReadMarker, WhatIsNone) {
  for (const char* text : {"[x]", "[]", "[,]", "[-1]", "[1a]", "[1;2]", "[1:2]", "[1: see]", "[^1]",
                           "[0, 1]", "[1", "[1,", "[", "[1:", "[[1]]"}) {
    EXPECT_EQ(KindOf(text), MarkerKind::kText) << text;
  }
}

TEST(ReadMarker, AQuoteEndsAtTheBracketThatClosesTheMark) {
  for (const char* text :
       {"[2: \"a \"b\" [3] c\"]", "[2:“a \"b\" [3] c”]", "[ 2 : 「a \"b\" [3] c」 ]"}) {
    CitationMarker marker;
    ASSERT_EQ(ReadMarker(text, false, &marker), MarkerKind::kMarker) << text;
    EXPECT_THAT(marker.numbers, ElementsAre(2));
    EXPECT_EQ(marker.quote, "a \"b\" [3] c") << text;
    EXPECT_EQ(marker.bytes, absl::string_view(text).size());
  }
}

TEST(ReadMarker, AMarkThatDoesNotEndAsOneIsBroken) {
  const std::string huge = absl::StrCat("[1: \"", std::string(kMarkerBytesMax, 'x'), "\"]");
  for (const std::string& text :
       {std::string("[1: \"a\" b]"), std::string("[1: \"a"), std::string("[1: \""), huge}) {
    CitationMarker marker;
    EXPECT_EQ(ReadMarker(text, true, &marker), MarkerKind::kBroken) << text;
    EXPECT_EQ(marker.bytes, 4u);
  }
  EXPECT_EQ(KindOf(huge, false), MarkerKind::kBroken) << "more text doesn't help";
}

TEST(ReadMarker, EveryBeginningOfAMarkIsUndecided) {
  const std::string text = "[12: “a” ]";
  for (size_t bytes = 1; bytes < text.size(); ++bytes) {
    EXPECT_EQ(KindOf(text.substr(0, bytes), false), MarkerKind::kUndecided) << bytes;
  }
  EXPECT_EQ(KindOf(text, false), MarkerKind::kMarker);
}

}  // namespace
}  // namespace aibackend::models
