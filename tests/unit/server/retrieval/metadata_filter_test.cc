#include "server/retrieval/metadata_filter.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "server/base/status.h"

namespace aibackend::retrieval {
namespace {

using Operator = MetadataFilter::Operator;
using ::testing::HasSubstr;

MetadataFilter Parse(absl::string_view json) {
  auto filter = ParseFilter(json, "filter");
  EXPECT_TRUE(filter.ok()) << filter.status();
  return filter.ok() ? *std::move(filter) : MetadataFilter();
}

void ExpectInvalid(absl::string_view json, const std::string& field, const std::string& message) {
  const auto filter = ParseFilter(json, "filter");
  ASSERT_FALSE(filter.ok()) << json;
  EXPECT_EQ(ReasonOf(filter.status()), Reason::FILTER_INVALID) << json;
  EXPECT_EQ(FieldOf(filter.status()), field) << json;
  EXPECT_THAT(std::string(filter.status().message()), HasSubstr(message)) << json;
}

TEST(MetadataFilterTest, NothingAndAnEmptyObjectAreNoFilter) {
  for (const char* json : {"", "{}", " { } "}) EXPECT_TRUE(Parse(json).conditions.empty()) << json;
}

TEST(MetadataFilterTest, EachOperatorIsACondition) {
  const MetadataFilter filter = Parse(
      R"({"lang":"en","draft":false,"year":{"gte":2020,"lt":2024.5},"rank":{"gt":-1,"lte":3},
          "tag":{"in":["a",7,true]},"author.name":{"eq":"Ada"},"old":{"exists":false}})");
  ASSERT_EQ(filter.conditions.size(), 9U);
  const auto expect = [&](size_t i, const char* field, Operator op,
                          std::vector<MetadataValue> values) {
    EXPECT_EQ(filter.conditions[i].field, field);
    EXPECT_EQ(filter.conditions[i].op, op) << field;
    EXPECT_EQ(filter.conditions[i].values, values) << field;
  };
  expect(0, "lang", Operator::kEqual, {"en"});
  expect(1, "draft", Operator::kEqual, {false});
  expect(2, "year", Operator::kGreaterOrEqual, {2020.0});
  expect(3, "year", Operator::kLess, {2024.5});
  expect(4, "rank", Operator::kGreater, {-1.0});
  expect(5, "rank", Operator::kLessOrEqual, {3.0});
  expect(6, "tag", Operator::kIn, {"a", 7.0, true});
  expect(7, "author.name", Operator::kEqual, {"Ada"});
  expect(8, "old", Operator::kExists, {false});
}

TEST(MetadataFilterTest, AnErrorNamesThePlace) {
  ExpectInvalid("[]", "filter", "must be a JSON object");
  ExpectInvalid("\"lang\"", "filter", "must be a JSON object");
  ExpectInvalid("{\"lang\":", "filter", "not JSON");
  ExpectInvalid("{\"lang\":\"\xff\"}", "filter", "not JSON");
  ExpectInvalid(R"({"lang":null})", "filter.lang", "exists");
  ExpectInvalid(R"({"lang":["en"]})", "filter.lang", "\"in\"");
  ExpectInvalid(R"({"lang":{}})", "filter.lang", "no operator");
  ExpectInvalid(R"({"lang":{"like":"e"}})", "filter.lang.like", "none of eq");
  ExpectInvalid(R"({"author":{"name":"Ada"}})", "filter.author.name", "dots");
  ExpectInvalid(R"({"lang":{"eq":["en"]}})", "filter.lang.eq", "a text, a number or a boolean");
  ExpectInvalid(R"({"tag":{"in":"a"}})", "filter.tag.in", "must be a list");
  ExpectInvalid(R"({"tag":{"in":[]}})", "filter.tag.in", "at least one");
  ExpectInvalid(R"({"tag":{"in":["a",{}]}})", "filter.tag.in[1]", "a text, a number");
  ExpectInvalid(R"({"year":{"gte":true}})", "filter.year.gte", "a number or a text");
  ExpectInvalid(R"({"old":{"exists":1}})", "filter.old.exists", "true or false");
  ExpectInvalid(R"({"a":{"b":{"c":{"d":{"e":{"f":{"g":{"h":{"i":1}}}}}}}}})", "filter", "not JSON");
}

TEST(MetadataFilterTest, WhatIsGivenTwiceIsRefused) {
  ExpectInvalid(R"({"lang":"en","lang":"de"})", "filter.lang", "twice");
  ExpectInvalid(R"({"year":{"gt":1,"gt":2}})", "filter.year.gt", "twice");
}

TEST(MetadataFilterTest, ANumberThatNoDoubleHoldsIsRefused) {
  for (const char* number : {"1e999", "-1e999", "NaN", "Infinity"}) {
    ExpectInvalid(absl::StrCat("{\"year\":", number, "}"), "filter", "not JSON");
  }
}

TEST(MetadataFilterTest, ItsSizesAreBounded) {
  const auto filter_of = [](size_t conditions) {
    std::vector<std::string> members;
    for (size_t i = 0; i < conditions; ++i) members.push_back(absl::StrCat("\"f", i, "\":1"));
    return absl::StrCat("{", absl::StrJoin(members, ","), "}");
  };
  EXPECT_EQ(Parse(filter_of(32)).conditions.size(), 32U);
  ExpectInvalid(filter_of(33), "filter.f32", "more than 32 conditions");

  const auto in_of = [](size_t values) {
    return absl::StrCat(R"({"a":{"in":[)", absl::StrJoin(std::vector<int>(values, 5), ","), "]}}");
  };
  EXPECT_EQ(Parse(in_of(1000)).conditions[0].values.size(), 1000U);
  ExpectInvalid(in_of(1001), "filter.a.in[1000]", "more than 1000 values");

  ExpectInvalid(absl::StrCat(R"({"a":")", std::string(64 << 10, 'x'), "\"}"), "filter",
                "longer than 65536 bytes");
}

TEST(MetadataFilterTest, AnErrorDoesNotGiveBackALongName) {
  const auto filter = ParseFilter(absl::StrCat("{\"", std::string(9999, 'n'), "\":null}"), "f");
  EXPECT_EQ(FieldOf(filter.status()), absl::StrCat("f.", std::string(64, 'n')));
}

}  // namespace
}  // namespace aibackend::retrieval
