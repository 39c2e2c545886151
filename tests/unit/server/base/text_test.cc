#include "server/base/text.h"

#include "gtest/gtest.h"

namespace aibackend {
namespace {

TEST(Text, WellFormedUtf8IsTold) {
  for (const char* good : {"", "plain", "żółw", "日本語", "\xF0\x9F\x90\xA2", "\xED\x9F\xBF",
                           "\xEE\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(IsValidUtf8(good)) << good;
  }
}

TEST(Text, MalformedUtf8IsTold) {
  for (const char* bad :
       {"\x80", "\xC3", "\xC3\x28", "\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF0\x80\x80\x80",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "ok\xFF", "\xE2\x82"}) {
    EXPECT_FALSE(IsValidUtf8(bad));
  }
}

TEST(Text, APrefixNeverCutsACharacter) {
  const std::string text = "a日本\xF0\x9F\x90\xA2z";
  for (size_t n = 0; n <= text.size() + 2; ++n) {
    const auto prefix = Utf8Prefix(text, n);
    EXPECT_LE(prefix.size(), n);
    EXPECT_TRUE(IsValidUtf8(prefix)) << n;
    EXPECT_EQ(text.compare(0, prefix.size(), std::string(prefix)), 0);
  }
  EXPECT_EQ(Utf8Prefix(text, 4), "a日");
  EXPECT_EQ(Utf8Prefix(text, 6), "a日");
}

TEST(Text, TokensAreAQuarterOfTheBytesAndOneACjkCharacter) {
  EXPECT_EQ(EstimateTokens(""), 0);
  EXPECT_EQ(EstimateTokens("a"), 1);
  EXPECT_EQ(EstimateTokens("abcd"), 1);
  EXPECT_EQ(EstimateTokens("abcde"), 2);
  EXPECT_EQ(EstimateTokens("日本語"), 3);
  EXPECT_EQ(EstimateTokens("\xE9"), 1) << "a malformed tail is counted, not read beyond";
}

}  // namespace
}  // namespace aibackend
