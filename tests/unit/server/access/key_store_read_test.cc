#include "server/access/key_store.h"
#include "tests/unit/server/access/key_store_fixture.h"

namespace aibackend::access {
namespace {

using ::testing::ElementsAre;
using Kind = Subject::Kind;

TEST_F(KeyStoreTest, PagesTellKeysOfOneMomentApart) {
  for (int i = 0; i < 5; ++i) Create();  // the clock stands
  std::vector<std::string> ids;
  std::string token;
  do {
    const auto page = keys_->List("", 2, token);
    for (const KeyInfo& key : page->keys) ids.push_back(key.id);
    token = page->next_page_token;
  } while (!token.empty());
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(std::unique(ids.begin(), ids.end()) - ids.begin(), 5);
}

TEST_F(KeyStoreTest, LimitsAreTheSubjectsOwnOrTheDefaultOfItsKind) {
  KeyStore::Defaults defaults;
  defaults.key = PerMinute(1);
  defaults.user = PerMinute(2);
  defaults.tenant = PerMinute(3);
  defaults.address = PerMinute(4);
  keys_ = Open(database_, kNever, defaults);
  const auto of = [&](Kind kind, const char* tenant, const char* id) {
    const auto limits = keys_->LimitsOf({kind, tenant, id});
    return limits == nullptr ? -1 : *limits->requests_per_minute;
  };
  EXPECT_EQ(of(Kind::kKey, "", "key_x"), 1);
  EXPECT_EQ(of(Kind::kUser, "acme", "ann"), 2);
  EXPECT_EQ(of(Kind::kTenant, "acme", ""), 3);
  EXPECT_EQ(of(Kind::kAddress, "", "192.0.2.1"), 4);

  ASSERT_TRUE(keys_->SetLimits("acme", "", PerMinute(30)).ok());
  ASSERT_TRUE(keys_->SetLimits("acme", "ann", PerMinute(20)).ok());
  EXPECT_EQ(of(Kind::kTenant, "acme", ""), 30);
  EXPECT_EQ(of(Kind::kTenant, "other", ""), 3);
  EXPECT_EQ(of(Kind::kUser, "acme", "ann"), 20);
  EXPECT_EQ(of(Kind::kUser, "other", "ann"), 2);
  EXPECT_EQ(of(Kind::kUser, "acme", "bob"), 2);

  ASSERT_TRUE(keys_->SetLimits("acme", "ann", {}).ok());
  EXPECT_EQ(of(Kind::kUser, "acme", "ann"), 2);
  EXPECT_EQ(of(Kind::kTenant, "acme", ""), 30);
}

TEST_F(KeyStoreTest, AKeyWithoutLimitsHasTheDefaultsInItsPrincipalAloneAndNotInItsRow) {
  KeyStore::Defaults defaults;
  defaults.key = PerMinute(1);
  keys_ = Open(database_, kNever, defaults);
  const NewKey plain = Create();
  KeySpec spec;
  spec.limits.concurrent = 9;
  const NewKey own = Create(spec);
  EXPECT_TRUE(plain.info.limits.empty());
  EXPECT_EQ(*Find(plain.key)->limits, PerMinute(1));
  EXPECT_EQ(*Find(own.key)->limits, spec.limits);
}

TEST_F(KeyStoreTest, WithoutDefaultsThereAreNoLimits) {
  for (const Kind kind : {Kind::kKey, Kind::kUser, Kind::kTenant, Kind::kAddress}) {
    EXPECT_EQ(keys_->LimitsOf({kind, "default", "x"}), nullptr);
  }
}

TEST_F(KeyStoreTest, LimitsAreListedByTenantAndUser) {
  ASSERT_TRUE(keys_->SetLimits("b", "", PerMinute(1)).ok());
  ASSERT_TRUE(keys_->SetLimits("a", "u", PerMinute(2)).ok());
  ASSERT_TRUE(keys_->SetLimits("a", "", PerMinute(3)).ok());
  ASSERT_TRUE(keys_->SetLimits("a", "", PerMinute(4)).ok());
  ASSERT_TRUE(keys_->SetLimits("", "", PerMinute(5)).ok());
  const auto requests = [&](const std::string& tenant) {
    std::vector<std::string> result;
    const auto all = keys_->ListLimits(tenant);
    for (const SubjectLimits& row : *all) {
      result.push_back(absl::StrCat(row.tenant, "/", row.user, " ",
                                    row.limits.requests_per_minute.value_or(-1)));
    }
    return result;
  };
  EXPECT_THAT(requests("a"), ElementsAre("a/ 4", "a/u 2"));
  EXPECT_THAT(requests(""), ElementsAre("a/ 4", "a/u 2", "b/ 1", "default/ 5"));
}

TEST_F(KeyStoreTest, WhatOneProcessRevokesDiesInTheOther) {
  const NewKey made = Create();
  const auto other_database = *storage::OpenSqlite(Path());
  const auto other = Open(*other_database, absl::Milliseconds(5));
  ASSERT_NE(other->Find(DigestOf(made.key)), nullptr);
  ASSERT_TRUE(keys_->Revoke(made.info.id).ok());
  ASSERT_TRUE(other->WaitForVersion(keys_->version(), kLong));
  EXPECT_EQ(other->Find(DigestOf(made.key)), nullptr);

  const NewKey later = Create();
  ASSERT_TRUE(other->WaitForVersion(keys_->version(), kLong));
  EXPECT_NE(other->Find(DigestOf(later.key)), nullptr);
}

TEST_F(KeyStoreTest, WhatIsRevokedByHandDies) {
  const NewKey made = Create();
  Run(database_, "UPDATE api_keys SET revoked_at = 1");
  EXPECT_NE(Find(made.key), nullptr);  // not read yet
  ASSERT_TRUE(keys_->Reload().ok());
  EXPECT_EQ(Find(made.key), nullptr);
}

TEST_F(KeyStoreTest, AChangeShowsWhatOthersChangedAsWell) {
  const NewKey made = Create();
  const auto other_database = *storage::OpenSqlite(Path());
  const auto other = Open(*other_database, kNever);
  ASSERT_TRUE(other->Revoke(made.info.id).ok());
  Create();
  EXPECT_EQ(Find(made.key), nullptr);
}

TEST_F(KeyStoreTest, ADatabaseRestoredFromABackupIsReadThoughItsVersionIsLower) {
  const NewKey made = Create();
  Run(database_, "UPDATE api_keys SET revoked_at = 1");
  Run(database_, "UPDATE access_version SET version = 1");
  ASSERT_TRUE(keys_->Reload().ok());
  EXPECT_EQ(Find(made.key), nullptr);
  EXPECT_EQ(keys_->version(), 1);
}

TEST_F(KeyStoreTest, WhileTheDatabaseIsAwayKeysStayAsTheyWere) {
  KeySpec spec;
  spec.expires_at = clock_.Now() + absl::Seconds(10);
  const NewKey mortal = Create(spec);
  const NewKey made = Create();
  database_.is_away = true;
  EXPECT_EQ(ReasonOf(keys_->Reload()), Reason::DATABASE_UNAVAILABLE);
  EXPECT_EQ(ReasonOf(keys_->Revoke(made.info.id).status()), Reason::DATABASE_UNAVAILABLE);
  EXPECT_EQ(ReasonOf(keys_->Create({}).status()), Reason::DATABASE_UNAVAILABLE);
  EXPECT_NE(Find(made.key), nullptr);
  clock_.Advance(absl::Seconds(10));
  EXPECT_EQ(Find(mortal.key), nullptr);  // time goes on all the same

  EXPECT_EQ(ReasonOf(KeyStore::Open(database_, clock_, ids_, {}).status()),
            Reason::DATABASE_UNAVAILABLE);
  database_.is_away = false;
  ASSERT_TRUE(keys_->Revoke(made.info.id).ok());
  EXPECT_EQ(Find(made.key), nullptr);
}

TEST_F(KeyStoreTest, TheThreadFindsADatabaseThatCameBack) {
  FickleDatabase other_database(Path());
  const auto other = Open(other_database, absl::Milliseconds(1));
  other_database.is_away = true;
  const NewKey made = Create();
  EXPECT_FALSE(other->WaitForVersion(keys_->version(), absl::Milliseconds(20)));
  other_database.is_away = false;
  ASSERT_TRUE(other->WaitForVersion(keys_->version(), kLong));
  EXPECT_NE(other->Find(DigestOf(made.key)), nullptr);
}

TEST_F(KeyStoreTest, AnothersWriteLockHoldsUpChangesAndNoKeys) {
  const NewKey made = Create();
  const auto other = *storage::OpenSqlite(Path());
  const absl::Status held = other->Write([&](storage::Session& session) -> absl::Status {
    AIB_RETURN_IF_ERROR(session.Execute("DELETE FROM api_keys").status());
    EXPECT_EQ(ReasonOf(keys_->Revoke(made.info.id).status()), Reason::DATABASE_UNAVAILABLE);
    EXPECT_TRUE(keys_->Reload().ok());
    EXPECT_NE(Find(made.key), nullptr);
    return absl::CancelledError("rolled back");
  });
  EXPECT_EQ(held.code(), absl::StatusCode::kCancelled);
  EXPECT_NE(Find(made.key), nullptr);
}

TEST_F(KeyStoreTest, TablesThatCannotBeReadLeaveKeysAsTheyWere) {
  const NewKey made = Create();
  Run(database_, "DROP TABLE subject_limits");
  Run(database_, "UPDATE api_keys SET name = 'changed'");
  EXPECT_FALSE(keys_->Reload().ok());
  EXPECT_NE(Find(made.key), nullptr);
}

TEST_F(KeyStoreTest, ARowSpoiledByHandLetsNothingThroughAndSpoilsNoOther) {
  const NewKey spoiled = Create();
  const NewKey nameless = Create();
  const NewKey whole = Create();
  ASSERT_TRUE(keys_->SetLimits("acme", "", PerMinute(7)).ok());
  Run(database_, "UPDATE api_keys SET limits = '{\"concurent\":1}', scopes = 'chatt' WHERE id = $1",
      {spoiled.info.id});
  Run(database_, "UPDATE api_keys SET digest = x'00' WHERE id = $1", {nameless.info.id});
  Run(database_, "UPDATE subject_limits SET limits = '60'");
  ASSERT_TRUE(keys_->Reload().ok());
  ASSERT_NE(Find(spoiled.key), nullptr);
  EXPECT_EQ(*Find(spoiled.key)->limits, PerMinute(0));
  EXPECT_FALSE(Find(spoiled.key)->May(Scope::kChat));
  EXPECT_EQ(Find(nameless.key), nullptr);
  EXPECT_EQ(Find(whole.key)->limits, nullptr);
  EXPECT_EQ(*keys_->LimitsOf({Kind::kTenant, "acme", ""}), PerMinute(0));
  const auto rotated = keys_->Rotate(spoiled.info.id, kLong);
  ASSERT_TRUE(rotated.ok()) << rotated.status();
  EXPECT_FALSE(Find(rotated->key)->May(Scope::kChat));
}

}  // namespace
}  // namespace aibackend::access
