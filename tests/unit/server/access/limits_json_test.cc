#include "server/access/limits_json.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/base/status.h"

namespace aibackend::access {
namespace {

TEST(LimitsJson, ComesBackAsItWas) {
  Limits limits;
  EXPECT_EQ(FormatLimits(limits), "{}");
  EXPECT_EQ(*ParseLimits("{}"), limits);
  limits.requests_per_minute = 0;
  limits.tokens_per_minute = 1;
  limits.tokens_per_day = 2;
  limits.tokens_per_month = 3;
  limits.nano_usd_per_day = 4;
  limits.nano_usd_per_month = 1'000'000'000'000'000;
  limits.concurrent = 1'000'000;
  const auto again = ParseLimits(FormatLimits(limits));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(*again, limits);
  EXPECT_EQ(*ParseLimits(R"({"concurrent": 7})")->concurrent, 7);
}

TEST(LimitsJson, WhatIsNoLimitIsRefusedByName) {
  for (const char* text : {"", "null", "[]", "7", "{", R"({"concurrent":1}x)"}) {
    const absl::Status status = ParseLimits(text).status();
    EXPECT_EQ(ReasonOf(status), Reason::FIELD_INVALID) << text;
    EXPECT_EQ(FieldOf(status), "limits") << text;
  }
  for (const char* text : {R"({"concurent":1})", R"({"concurent":null})"}) {
    EXPECT_EQ(FieldOf(ParseLimits(text).status()), "limits.concurent");
  }
  for (const char* value : {"\"1\"", "1.5", "null", "true", "1e3", "18446744073709551616"}) {
    const absl::Status status = ParseLimits(absl::StrCat(R"({"concurrent":)", value, "}")).status();
    EXPECT_EQ(ReasonOf(status), Reason::FIELD_INVALID) << value;
    EXPECT_EQ(FieldOf(status), "limits.concurrent") << value;
  }
}

TEST(LimitsJson, EachLimitHasItsRange) {
  for (const char* text : {R"({"tokens_per_day":-1})", R"({"tokens_per_day":1000000000000001})",
                           R"({"tokens_per_day":9223372036854775808})",
                           R"({"tokens_per_day":18446744073709551615})"}) {
    const absl::Status status = ParseLimits(text).status();
    EXPECT_EQ(ReasonOf(status), Reason::FIELD_OUT_OF_RANGE) << text;
    EXPECT_EQ(FieldOf(status), "limits.tokens_per_day") << text;
  }
  Limits limits;
  limits.concurrent = 1'000'001;
  EXPECT_EQ(FieldOf(CheckLimits(limits)), "limits.concurrent");
  limits.concurrent = 1'000'000;
  EXPECT_TRUE(CheckLimits(limits).ok());
}

}  // namespace
}  // namespace aibackend::access
