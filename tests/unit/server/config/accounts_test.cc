#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/config/toml_file.h"

namespace aibackend::config {
namespace {

using testing::HasSubstr;

absl::StatusOr<TomlContent> Read(const std::string& text) {
  ModelSettings defaults;
  defaults.upstreams.emplace_back();
  std::istringstream input(text);
  return ReadToml(input, "server", defaults);
}

std::string ProblemsOf(const std::string& text) {
  const auto content = Read(text);
  EXPECT_FALSE(content.ok()) << text;
  return std::string(content.status().message());
}

TEST(AccountsToml, LimitsAreReadForEachKindAndMoneyIsExact) {
  const auto content = Read(R"([limits.key]
requests_per_minute = 60
usd_per_month = 0.1
[limits.tenant]
tokens_per_day = 1000000
usd_per_day = 19.99
concurrent = 0
[limits.address]
requests-per-minute = 600
)");
  ASSERT_TRUE(content.ok()) << content.status();
  EXPECT_EQ(content->limits.key.requests_per_minute, 60);
  EXPECT_EQ(content->limits.key.nano_usd_per_month, 100'000'000);
  EXPECT_FALSE(content->limits.key.tokens_per_day.has_value());
  EXPECT_EQ(content->limits.tenant.nano_usd_per_day, 19'990'000'000);
  EXPECT_EQ(content->limits.tenant.concurrent, 0);
  EXPECT_EQ(content->limits.address.requests_per_minute, 600);
  EXPECT_FALSE(content->limits.user.requests_per_minute.has_value());
}

TEST(AccountsToml, WhatCanBeNoLimitIsReportedWithItsLine) {
  EXPECT_THAT(ProblemsOf("[limits.key]\nrequests_per_minute = -1\n"),
              HasSubstr("limits.key.requests_per_minute (line 2)"));
  EXPECT_THAT(ProblemsOf("[limits.key]\nusd_per_day = \"1\"\n"), HasSubstr("US dollars"));
  EXPECT_THAT(ProblemsOf("[limits.address]\ntokens_per_day = 1\n"), HasSubstr("unknown key"));
  EXPECT_THAT(ProblemsOf("[limits.everybody]\nconcurrent = 1\n"), HasSubstr("unknown key"));
  EXPECT_THAT(ProblemsOf("limits = 1\n"), HasSubstr("must be a table"));
}

TEST(AccountsToml, APriceIsNanoUsdForAMillionTokens) {
  const auto content = Read(R"([models.m]
base_url = "http://x/v1"
price = { input = 0.15, output = 0.6, cached_input = 0.0375 }
[models.free]
base_url = "http://x/v1"
)");
  ASSERT_TRUE(content.ok()) << content.status();
  ASSERT_TRUE(content->models[0].price.has_value());
  EXPECT_EQ(content->models[0].price->input, 150'000'000);
  EXPECT_EQ(content->models[0].price->output, 600'000'000);
  EXPECT_EQ(content->models[0].price->cached_input, 37'500'000);
  EXPECT_FALSE(content->models[0].price->reasoning.has_value());
  EXPECT_FALSE(content->models[1].price.has_value());
  EXPECT_THAT(ProblemsOf("[models.m]\nbase_url = \"http://x\"\nprice = { input = 1 }\n"),
              HasSubstr("models.m.price.output"));
  EXPECT_THAT(
      ProblemsOf("[models.m]\nbase_url = \"http://x\"\nprice = { input = 1, output = -1 }\n"),
      HasSubstr("models.m.price.output"));
}

TEST(AccountsToml, GuardrailsComeInTheFilesOrder) {
  const auto content = Read(R"([guardrails.z-mail]
kind = "email"
[guardrails.a]
kind = "regex"
pattern = "x+"
on = "output"
action = "block"
[guardrails.words]
kind = "blocklist"
words = ["a", "b"]
action = "flag"
[guardrails.long]
kind = "size"
bytes_max = 10
)");
  ASSERT_TRUE(content.ok()) << content.status();
  const auto& rules = content->guardrails;
  ASSERT_EQ(rules.size(), 4u);
  EXPECT_EQ(rules[0].name, "z-mail");
  EXPECT_EQ(rules[0].action, "mask");
  EXPECT_EQ(rules[0].on, "both");
  EXPECT_EQ(rules[1].pattern, "x+");
  EXPECT_EQ(rules[2].words.size(), 2u);
  EXPECT_EQ(rules[3].action, "block");
}

TEST(AccountsToml, AGuardrailHasWhatItsKindNeedsAndNothingElse) {
  EXPECT_THAT(ProblemsOf("[guardrails.r]\nkind = \"regex\"\n"), HasSubstr("guardrails.r.pattern"));
  EXPECT_THAT(ProblemsOf("[guardrails.r]\nkind = \"email\"\npattern = \"x\"\n"),
              HasSubstr("guardrails.r.pattern"));
  EXPECT_THAT(ProblemsOf("[guardrails.r]\n"), HasSubstr("guardrails.r.kind"));
  EXPECT_THAT(ProblemsOf("[guardrails.r]\nkind = \"size\"\nbytes_max = 5\naction = \"mask\"\n"),
              HasSubstr("can't be masked"));
  EXPECT_THAT(ProblemsOf("[guardrails.\"A b\"]\nkind = \"email\"\n"), HasSubstr("no rule's name"));
  EXPECT_THAT(ProblemsOf("[guardrails.r]\nkind = \"email\"\non = \"sometimes\"\n"),
              HasSubstr("must be one of"));
}

}  // namespace
}  // namespace aibackend::config
