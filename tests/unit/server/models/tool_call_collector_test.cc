#include "server/models/tool_call_collector.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace aibackend::models {
namespace {

ToolCallPiece Piece(absl::optional<int64_t> place, absl::string_view id, absl::string_view name,
                    absl::string_view arguments) {
  ToolCallPiece piece;
  piece.place = place;
  piece.id = id;
  piece.name = name;
  piece.arguments = arguments;
  return piece;
}

// The deltas of these pieces, each taken by itself: "index:id:name:arguments".
std::string DeltasOf(const std::vector<ToolCallPiece>& pieces, bool end = false) {
  ToolCallCollector calls("call_r_");
  std::vector<std::string> lines;
  std::vector<ToolCallDelta> news;
  const auto note = [&] {
    for (const auto& delta : news) {
      lines.push_back(
          absl::StrCat(delta.index, ":", delta.id, ":", delta.name, ":", delta.arguments));
    }
    news.clear();
  };
  for (const ToolCallPiece& piece : pieces) {
    EXPECT_TRUE(calls.Take(piece, &news));
    note();
  }
  if (end) calls.End(&news);
  note();
  return absl::StrJoin(lines, " ");
}

const absl::optional<int64_t> kNoPlace;

TEST(ToolCallCollector, PiecesGoToTheCallOfTheirPlaceAndPlacesBecomeNumbersWithoutGaps) {
  EXPECT_EQ(DeltasOf({Piece(7, "a", "f", ""), Piece(3, "b", "g", "{"), Piece(7, "", "", "{}"),
                      Piece(3, "", "", "}")}),
            "0:a:f: 1:b:g:{ 0:::{} 1:::}");
  EXPECT_EQ(DeltasOf({Piece(1000000000, "a", "f", ""), Piece(-5, "b", "g", ""),
                      Piece(std::numeric_limits<int64_t>::max(), "c", "h", "")}),
            "0:a:f: 1:b:g: 2:c:h:");
}

TEST(ToolCallCollector, AnIdOrNameThatComesAgainIsNoNews) {
  EXPECT_EQ(DeltasOf({Piece(0, "a", "f", "{"), Piece(0, "a", "f", "}"), Piece(0, "a", "f", "")}),
            "0:a:f:{ 0:::}");
  EXPECT_EQ(DeltasOf({Piece(0, "a", "f", "{"), Piece(0, "x", "", "}"), Piece(0, "y", "", "")}),
            "0:a:f:{ 0:::}");
}

TEST(ToolCallCollector, WithoutPlacesTheIdOrElseTheOrderSaysWhoseAPieceIs) {
  EXPECT_EQ(DeltasOf({Piece(kNoPlace, "a", "f", "{"), Piece(kNoPlace, "", "", "}"),
                      Piece(kNoPlace, "b", "g", "["), Piece(kNoPlace, "a", "", " "),
                      Piece(kNoPlace, "b", "", "]")}),
            "0:a:f:{ 0:::} 1:b:g:[ 0:::  1:::]");
}

TEST(ToolCallCollector, WholeCallsAtOnePlaceAreSeveral) {
  for (const auto& place : {kNoPlace, absl::optional<int64_t>(0)}) {
    EXPECT_EQ(DeltasOf({Piece(place, "a", "f", "{}"), Piece(place, "b", "f", "{}")}),
              "0:a:f:{} 1:b:f:{}");
    EXPECT_EQ(DeltasOf({Piece(place, "", "f", "{\"x\":1}"), Piece(place, "", "f", "{}")}),
              "0:call_r_0:f:{\"x\":1} 1:call_r_1:f:{}");
    EXPECT_EQ(DeltasOf({Piece(place, "", "f", "{\"x\":"), Piece(place, "", "f", "1}")}),
              "0:call_r_0:f:{\"x\": 0:::1}");
  }
}

TEST(ToolCallCollector, BracketsWithinStringsDoNotCompleteArguments) {
  EXPECT_EQ(DeltasOf({Piece(0, "", "f", R"({"x":"}\"}\\)"), Piece(0, "", "f", R"(","y":[{}]})"),
                      Piece(0, "", "f", "{}")}),
            R"(0:call_r_0:f:{"x":"}\"}\\ 0:::","y":[{}]} 1:call_r_1:f:{})");
}

TEST(ToolCallCollector, WhatComesBeforeTheNameWaitsForIt) {
  EXPECT_EQ(DeltasOf({Piece(0, "a", "", ""), Piece(0, "", "", "{"), Piece(1, "b", "g", ""),
                      Piece(0, "", "f", "}")}),
            "0:b:g: 1:a:f:{}");
  ToolCallCollector calls("");
  std::vector<ToolCallDelta> news;
  EXPECT_TRUE(calls.Take(Piece(0, "a", "", "{}"), &news));
  EXPECT_TRUE(news.empty());
  EXPECT_TRUE(calls.HasNameless());
  EXPECT_TRUE(calls.Take(Piece(0, "", "f", ""), &news));
  EXPECT_FALSE(calls.HasNameless());
}

TEST(ToolCallCollector, PiecesOfOneCallInOneGoAreOneDelta) {
  ToolCallCollector calls("");
  std::vector<ToolCallDelta> news;
  for (const char* part : {"{", "\"x\"", ":1}"}) {
    EXPECT_TRUE(calls.Take(Piece(0, "a", "f", part), &news));
  }
  ASSERT_EQ(news.size(), 1u);
  EXPECT_EQ(news[0].arguments, "{\"x\":1}");
  EXPECT_FALSE(calls.IsCut());
  EXPECT_EQ(calls.EstimateTokens(), 2);
}

TEST(ToolCallCollector, AtAGoodEndNoArgumentsAreAnEmptyObject) {
  EXPECT_EQ(DeltasOf({Piece(0, "a", "f", ""), Piece(1, "b", "g", "{")}, true),
            "0:a:f: 1:b:g:{ 0:::{}");
}

TEST(ToolCallCollector, ArgumentsThatStopInTheMiddleAreCut) {
  for (const auto& [arguments, cut] :
       std::vector<std::pair<std::string, bool>>{{"", true}, {"{\"a\":", true}, {"{}", false}}) {
    ToolCallCollector calls("");
    std::vector<ToolCallDelta> news;
    EXPECT_FALSE(calls.IsCut());
    calls.Take(Piece(0, "a", "f", arguments), &news);
    EXPECT_EQ(calls.IsCut(), cut) << arguments;
  }
}

TEST(ToolCallCollector, MoreCallsThanAllowedAreRefused) {
  ToolCallCollector calls("");
  std::vector<ToolCallDelta> news;
  for (size_t i = 0; i < kToolCallsMax; ++i) {
    ASSERT_TRUE(calls.Take(Piece(static_cast<int64_t>(i) * 1000000000, "", "f", ""), &news));
  }
  EXPECT_TRUE(calls.Take(Piece(0, "", "", "{}"), &news)) << "one that is there goes on";
  EXPECT_FALSE(calls.Take(Piece(5, "", "f", ""), &news));
}

}  // namespace
}  // namespace aibackend::models
