#include "client/cli/options.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace aibackend::cli {
namespace {

using ::testing::HasSubstr;

TEST(OptionsTest, DecimalsAreExact) {
  for (const auto& [text, nano_usd] : std::vector<std::pair<std::string, int64_t>>{
           {"0.15", 150'000'000},
           {"0.60", 600'000'000},
           {"0", 0},
           {"3", 3'000'000'000},
           {"0.1", 100'000'000},
           {"0.000000001", 1},
           {"0.2999999990000", 299'999'999},
           {"007.5", 7'500'000'000},
           {"4503599.627370497", 4'503'599'627'370'497},  // more digits than a double keeps
           {"9223372036.854775807", 9'223'372'036'854'775'807}}) {
    const auto parsed = ParseNanoUsd(text);
    ASSERT_TRUE(parsed.ok()) << text;
    EXPECT_EQ(*parsed, nano_usd) << text;
  }
}

TEST(OptionsTest, WhatIsNoAmountIsRefusedWithAReason) {
  for (const std::string text : {"", ".", "1.", ".5", "-1", "+1", "1e3", "0x10", "1,5", " 1", "$1",
                                 "1.2.3", "nan", "1.5 "}) {
    const auto parsed = ParseNanoUsd(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_THAT(std::string(parsed.status().message()), HasSubstr("\"" + text + "\" is no amount"));
  }
  EXPECT_THAT(std::string(ParseNanoUsd("0.0000000001").status().message()),
              HasSubstr("at most nine decimals"));
  EXPECT_THAT(std::string(ParseNanoUsd("9223372036.854775808").status().message()),
              HasSubstr("above 9 billion"));
}

TEST(OptionsTest, SpansAreOfWholeUnits) {
  EXPECT_EQ(*ParseSpan("30d"), absl::Hours(720));
  EXPECT_EQ(*ParseSpan("24h"), absl::Hours(24));
  EXPECT_EQ(*ParseSpan("1w1d12h5m9s"), absl::Hours(204) + absl::Seconds(309));
  EXPECT_EQ(*ParseSpan("0"), absl::ZeroDuration());
  for (const std::string text : {"", "30", "d", "1.5h", "-1h", "1y", "1d ", "40000d",
                                 "99999999999999999999d", "9223372036854775807w"}) {
    EXPECT_FALSE(ParseSpan(text).ok()) << text;
  }
}

TEST(OptionsTest, AMomentIsADayOrATimeWithItsZone) {
  const auto seconds = [](const std::string& text) {
    const auto moment = ParseMoment(text);
    return moment.ok() ? absl::ToUnixSeconds(*moment) : -1;
  };
  EXPECT_EQ(seconds("2026-01-31"), 1'769'817'600);
  EXPECT_EQ(seconds("2026-01-31T09:30:00Z"), 1'769'851'800);
  EXPECT_EQ(seconds("2026-01-31T10:30:00+01:00"), 1'769'851'800);
  EXPECT_EQ(ToTimestamp(*ParseMoment("2026-01-31T09:30:00.25Z")).nanos(), 250'000'000);
  for (const std::string text :
       {"", "12", "today", "2026-02-30", "2026-01-31T09:30:00", "31.01.2026", "infinite-future",
        "1969-12-31", "12026-01-01", "12026-01-01T00:00:00Z"}) {
    EXPECT_FALSE(ParseMoment(text).ok()) << text;
  }
}

}  // namespace
}  // namespace aibackend::cli
