#include "server/access/principal.h"

#include "gmock/gmock.h"
#include "server/access/key_text.h"

namespace aibackend::access {
namespace {

using ::testing::ElementsAre;

TEST(Scope, ANameAndItsScopeBelongTogether) {
  for (const char* name :
       {"any", "chat", "embed", "documents.read", "documents.write", "jobs", "usage", "admin"}) {
    ASSERT_TRUE(ScopeOf(name).has_value()) << name;
    EXPECT_STREQ(ScopeName(*ScopeOf(name)), name);
  }
  EXPECT_EQ(ScopeOf("Chat"), absl::nullopt);
  EXPECT_EQ(ScopeOf(""), absl::nullopt);
}

TEST(Scope, UnknownWordsAreIgnoredAndOnlyUnknownOnesGiveNothing) {
  EXPECT_THAT(ScopeNames(ScopesOf({"openid", "jobs", "chat"})), ElementsAre("chat", "jobs"));
  Principal nobody;
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"openid", "profile"}, std::vector<std::string>{}}) {
    nobody.scopes = ScopesOf(words);
    EXPECT_TRUE(nobody.May(Scope::kAny));
    EXPECT_FALSE(nobody.May(Scope::kChat));
    EXPECT_FALSE(nobody.May(Scope::kUsage));
    EXPECT_EQ(ScopesOf(ScopeNames(nobody.scopes)), nobody.scopes);
  }
}

TEST(Limits, AreEmptyWhereNoneIsSet) {
  EXPECT_TRUE(Limits().empty());
  for (absl::optional<int64_t> Limits::*field :
       {&Limits::requests_per_minute, &Limits::tokens_per_minute, &Limits::tokens_per_day,
        &Limits::tokens_per_month, &Limits::nano_usd_per_day, &Limits::nano_usd_per_month,
        &Limits::concurrent}) {
    Limits limits;
    limits.*field = 0;
    EXPECT_FALSE(limits.empty());
    EXPECT_FALSE(limits == Limits());
    EXPECT_TRUE(limits == limits);
  }
}

TEST(KeyText, IsWellFormedAndNeverTheSame) {
  const auto key = MakeKeyText();
  ASSERT_TRUE(key.ok()) << key.status();
  EXPECT_THAT(*key, ::testing::MatchesRegex("aib_[A-Za-z0-9_-]+"));
  EXPECT_EQ(key->size(), 47u);
  EXPECT_NE(*key, *MakeKeyText());
}

TEST(TenantName, IsAWordOfAFewCharacters) {
  for (const std::string& good :
       {std::string("default"), std::string("A-b_c.9"), std::string(64, 'x')}) {
    EXPECT_TRUE(IsTenantName(good)) << good;
  }
  for (const std::string& bad : {std::string(), std::string("a b"), std::string("a/b"),
                                 std::string("ä"), std::string(65, 'x'), std::string("a\n")}) {
    EXPECT_FALSE(IsTenantName(bad)) << bad;
  }
}

}  // namespace
}  // namespace aibackend::access
