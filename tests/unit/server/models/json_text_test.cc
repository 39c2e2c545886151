#include "server/models/json_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"

namespace aibackend::models {
namespace {

std::string Quoted(absl::string_view text) {
  return JsonWriter().String(text).Take();
}

TEST(JsonWriter, CommasComeByThemselves) {
  JsonWriter json;
  json.BeginObject().Name("a").BeginArray().Integer(-3).Double(0.7).Bool(true).EndArray();
  json.Name("b").BeginObject().EndObject().Name("c").String(":").Name("d").Raw("1e400");
  json.Name("e").BeginArray().BeginArray().EndArray().String("[").String("{").EndArray();
  EXPECT_EQ(json.EndObject().Take(),
            R"({"a":[-3,0.7,true],"b":{},"c":":","d":1e400,"e":[[],"[","{"]})");
}

TEST(JsonWriter, EveryCharacterReadsBackAsItWas) {
  std::string all;
  for (char c = 0; c >= 0 && c < 127; ++c) all.push_back(c);
  all += "\x7F é € 😀";
  EXPECT_EQ(nlohmann::json::parse(Quoted(all)).get<std::string>(), all);
  EXPECT_EQ(Quoted("a\"b\\c\nd\x01"), R"("a\"b\\c\nd\u0001")");
}

TEST(JsonWriter, WhatIsNotUtf8IsMended) {
  EXPECT_EQ(Quoted("a\xFFz"), "\"a\xEF\xBF\xBDz\"");
  EXPECT_EQ(Quoted("\xC3"), "\"\xEF\xBF\xBD\"");
}

TEST(JsonMembers, KeepsOrderAndTextOfTheValues) {
  const auto members = JsonMembers(
      " {\"z\" : 1.0 , \"a\":12345678901234567890,\"e\":-1e400,\"o\":{\"x\": [1, {}]},"
      "\"s\":\"}\\\"\", \"\\u0061b\": null}\n");
  ASSERT_TRUE(members);
  std::string all;
  for (const auto& member : *members) absl::StrAppend(&all, member.name, "=", member.value, "|");
  EXPECT_EQ(all, "z=1.0|a=12345678901234567890|e=-1e400|o={\"x\": [1, {}]}|s=\"}\\\"\"|ab=null|");
  EXPECT_TRUE(JsonMembers("{}")->empty());
}

TEST(JsonMembers, WhatIsNoObjectHasNone) {
  for (const std::string json : {"",
                                 " ",
                                 "[]",
                                 "1",
                                 "null",
                                 "{",
                                 "{]",
                                 "{\"a\"}",
                                 "{\"a\":}",
                                 "{\"a\":1,}",
                                 "{,}",
                                 "{a:1}",
                                 "{\"a\":01}",
                                 "{\"a\":1.}",
                                 "{\"a\":.5}",
                                 "{\"a\":1e}",
                                 "{\"a\":+1}",
                                 "{\"a\":--1}",
                                 "{\"a\":nul}",
                                 "{\"a\":\"\\x\"}",
                                 "{\"a\":\"\\u12g4\"}",
                                 "{\"a\":\"\n\"}",
                                 "{\"a\":\"",
                                 "{\"a\":\"\\",
                                 "{\"a\":1} x",
                                 "{\"a\":1}{\"b\":2}",
                                 "{\"a\":[1,]}",
                                 "{\"a\":[1 2]}",
                                 "{\"a\":\"\xFF\"}",
                                 "{\"a\":1 \"b\":2}"}) {
    EXPECT_FALSE(JsonMembers(json)) << json;
    EXPECT_FALSE(IsJsonObject(json)) << json;
  }
}

TEST(JsonMembers, EndlessNestingIsRefused) {
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "{\"a\":";
  EXPECT_FALSE(IsJsonObject(deep));
  const auto nested = [](int depth) {
    return "{\"a\":" + std::string(static_cast<size_t>(depth), '[') +
           std::string(static_cast<size_t>(depth), ']') + "}";
  };
  EXPECT_TRUE(IsJsonObject(nested(kJsonDepthMax - 1)));
  EXPECT_FALSE(IsJsonObject(nested(kJsonDepthMax)));
}

TEST(JsonElements, AreTheTextsOfAnArray) {
  const auto elements = JsonElements(" [ 1.0, {\"a\": [ ]} ,\"x\" ] ");
  ASSERT_TRUE(elements);
  ASSERT_EQ(elements->size(), 3u);
  EXPECT_EQ((*elements)[0], "1.0");
  EXPECT_EQ((*elements)[1], "{\"a\": [ ]}");
  EXPECT_EQ((*elements)[2], "\"x\"");
  EXPECT_FALSE(JsonElements("[1"));
  EXPECT_FALSE(JsonElements("{}"));
}

}  // namespace
}  // namespace aibackend::models
