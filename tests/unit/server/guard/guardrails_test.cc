#include "server/guard/guardrails.h"

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "server/base/status.h"

namespace aibackend::guard {
namespace {

Rule Mail(std::string name, Rule::On on, Rule::Action action) {
  Rule rule;
  rule.name = std::move(name);
  rule.on = on;
  rule.kind = Rule::Kind::kEmail;
  rule.action = action;
  return rule;
}

TEST(GuardrailsTest, ABadRuleIsRefusedByItsName) {
  std::vector<Rule> rules(2, Mail("good", Rule::On::kBoth, Rule::Action::kMask));
  const auto refused = [&](absl::string_view why) {
    const absl::Status status = Guardrails::Build(rules).status();
    EXPECT_EQ(FieldOf(status), "guardrails[1]") << status;
    EXPECT_TRUE(absl::StrContains(status.message(), rules[1].name)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), why)) << status;
  };
  refused("another one has this name");
  rules[1].name = "a:b";
  refused("letters, digits");
  rules[1].name = "second";
  rules[1].kind = Rule::Kind::kRegex;
  refused("there is no pattern");
  rules[1].pattern = "(oops";
  refused("the pattern doesn't compile: missing ): (oops");
  rules[1].pattern = std::string(5000, 'a');
  refused("longer than 4096");
  rules[1].kind = Rule::Kind::kBlocklist;
  refused("the blocklist has no words");
  rules[1].kind = Rule::Kind::kSize;
  refused("bytes_max");
  rules[1].bytes_max = 10;
  refused("not masked");
  rules[1].action = Rule::Action::kFlag;
  EXPECT_TRUE(Guardrails::Build(rules).ok());
  EXPECT_FALSE(Guardrails::Build(std::vector<Rule>(Guardrails::kRulesMax + 1)).ok());
}

TEST(GuardrailsTest, ARuleWorksOnItsSide) {
  const auto rails = Guardrails::Build({Mail("in", Rule::On::kInput, Rule::Action::kMask),
                                        Mail("out", Rule::On::kOutput, Rule::Action::kFlag)});
  ASSERT_TRUE(rails.ok());
  ASSERT_EQ(rails->input().size(), 1u);
  EXPECT_EQ(rails->input()[0]->name, "in");
  ASSERT_EQ(rails->output().size(), 1u);
  EXPECT_EQ(rails->output()[0]->name, "out");
  EXPECT_FALSE(rails->changes_output());
}

TEST(GuardrailsTest, AWholeTextIsMaskedAndEachOutcomeNotedOnce) {
  const auto rails = Guardrails::Build({Mail("m", Rule::On::kBoth, Rule::Action::kMask)});
  Outcomes outcomes;
  std::string text = "a@b.de c@d.de";
  EXPECT_TRUE(GuardWhole(rails->input(), outcomes, text).ok());
  EXPECT_EQ(text, "[email] [email]");
  EXPECT_EQ(outcomes.list(), std::vector<std::string>{"m:mask"});
}

TEST(GuardrailsTest, TheErrorNamesTheRuleAndNotTheText) {
  const auto rails = Guardrails::Build({Mail("nomail", Rule::On::kBoth, Rule::Action::kBlock)});
  Outcomes outcomes;
  std::string text = "it is a@b.de";
  const absl::Status status = GuardWhole(rails->input(), outcomes, text);
  EXPECT_EQ(ReasonOf(status), Reason::CONTENT_BLOCKED);
  EXPECT_TRUE(absl::StrContains(status.message(), "nomail"));
  EXPECT_FALSE(absl::StrContains(status.message(), "a@b"));
  EXPECT_EQ(text, "it is a@b.de");
  EXPECT_EQ(outcomes.list(), std::vector<std::string>{"nomail:block"});
}

}  // namespace
}  // namespace aibackend::guard
