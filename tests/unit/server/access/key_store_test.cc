#include "server/access/key_store.h"

#include "tests/unit/server/access/key_store_fixture.h"

namespace aibackend::access {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

TEST_F(KeyStoreTest, AKeyOpensWhatItWasMadeFor) {
  KeySpec spec;
  spec.name = "reports";
  spec.tenant = "acme";
  spec.user = "ann";
  spec.scopes = {"usage", "chat"};
  spec.limits = PerMinute(5);
  spec.expires_at = clock_.Now() + absl::Hours(1);
  const NewKey made = Create(spec);
  EXPECT_THAT(made.key, StartsWith(made.info.prefix));
  EXPECT_EQ(made.info.prefix.size(), 12u);
  EXPECT_THAT(made.info.id, StartsWith("key_"));
  EXPECT_EQ(made.info.name, "reports");
  EXPECT_EQ(made.info.created_at, clock_.Now());
  EXPECT_EQ(made.info.expires_at, spec.expires_at);
  EXPECT_EQ(made.info.revoked_at, absl::nullopt);
  EXPECT_THAT(ScopeNames(made.info.scopes), ElementsAre("chat", "usage"));

  const auto principal = Find(made.key);
  ASSERT_NE(principal, nullptr);
  EXPECT_EQ(principal->key_id, made.info.id);
  EXPECT_EQ(principal->tenant, "acme");
  EXPECT_EQ(principal->user, "ann");
  EXPECT_TRUE(principal->May(Scope::kUsage));
  EXPECT_FALSE(principal->May(Scope::kJobs));
  ASSERT_NE(principal->limits, nullptr);
  EXPECT_EQ(*principal->limits, PerMinute(5));
  EXPECT_EQ(Find(made.key), principal);  // shared, not made for each call
}

TEST_F(KeyStoreTest, AKeyWithoutAnythingBelongsToTheDefaultTenant) {
  const NewKey made = Create();
  EXPECT_EQ(made.info.tenant, "default");
  EXPECT_TRUE(Find(made.key)->scopes.empty());
  EXPECT_EQ(Find(made.key)->limits, nullptr);
}

TEST_F(KeyStoreTest, AWrongKeyOpensNothing) {
  std::string key = Create().key;
  EXPECT_EQ(Find(""), nullptr);
  EXPECT_EQ(Find(key + "x"), nullptr);
  EXPECT_EQ(Find(key.substr(1)), nullptr);
  key[20] = key[20] == 'x' ? 'y' : 'x';
  EXPECT_EQ(Find(key), nullptr);
}

TEST_F(KeyStoreTest, TheKeyItselfIsKeptNowhere) {
  const NewKey made = Create();
  int rows = 0;
  ASSERT_TRUE(database_
                  .Read([&](storage::Session& session) {
                    return session.Query(
                        "SELECT * FROM api_keys", {}, [&](const storage::Row& row) {
                          ++rows;
                          for (int i = 0; i < 12; ++i) {
                            EXPECT_EQ(row.Text(i).find(made.key.substr(12)), std::string::npos);
                          }
                        });
                  })
                  .ok());
  EXPECT_EQ(rows, 1);
}

TEST_F(KeyStoreTest, AKeyDiesWhenItExpiresAndLivesOnIfThatIsPutOff) {
  KeySpec spec;
  spec.expires_at = clock_.Now() + absl::Seconds(10);
  const NewKey made = Create(spec);
  clock_.Advance(absl::Seconds(10) - absl::Microseconds(1));
  EXPECT_NE(Find(made.key), nullptr);
  clock_.Advance(absl::Microseconds(1));
  EXPECT_EQ(Find(made.key), nullptr);
  KeyChange change;
  change.expires_at = clock_.Now() + absl::Seconds(1);
  ASSERT_TRUE(keys_->Update(made.info.id, change).ok());
  EXPECT_NE(Find(made.key), nullptr);
}

TEST_F(KeyStoreTest, ARevokedKeyIsDeadWhenRevokeReturnsAndMayBeRevokedAgain) {
  const NewKey made = Create();
  const NewKey other = Create();
  auto revoked = keys_->Revoke(made.info.id);
  ASSERT_TRUE(revoked.ok()) << revoked.status();
  EXPECT_TRUE(*revoked);
  EXPECT_EQ(Find(made.key), nullptr);
  EXPECT_NE(Find(other.key), nullptr);
  const absl::Time revoked_at = clock_.Now();
  clock_.Advance(absl::Seconds(5));
  revoked = keys_->Revoke(made.info.id);
  ASSERT_TRUE(revoked.ok()) << revoked.status();
  EXPECT_FALSE(*revoked);
  EXPECT_EQ(keys_->Get(made.info.id)->revoked_at, revoked_at);
}

TEST_F(KeyStoreTest, ARotatedKeyGoesOnForItsOverlap) {
  KeySpec spec;
  spec.name = "n";
  spec.tenant = "acme";
  spec.user = "ann";
  spec.scopes = {"chat"};
  spec.limits = PerMinute(5);
  const NewKey old_key = Create(spec);
  const auto new_key = keys_->Rotate(old_key.info.id, absl::Seconds(60));
  ASSERT_TRUE(new_key.ok()) << new_key.status();
  EXPECT_NE(new_key->key, old_key.key);
  EXPECT_EQ(new_key->info.name, "n");
  EXPECT_EQ(new_key->info.tenant, "acme");
  EXPECT_EQ(new_key->info.user, "ann");
  EXPECT_EQ(new_key->info.scopes, old_key.info.scopes);
  EXPECT_EQ(new_key->info.limits, PerMinute(5));
  EXPECT_EQ(new_key->info.expires_at, absl::nullopt);
  EXPECT_EQ(keys_->Get(old_key.info.id)->replaced_by, new_key->info.id);

  EXPECT_NE(Find(old_key.key), nullptr);
  EXPECT_NE(Find(new_key->key), nullptr);
  clock_.Advance(absl::Seconds(60));
  EXPECT_EQ(Find(old_key.key), nullptr);
  EXPECT_NE(Find(new_key->key), nullptr);
}

TEST_F(KeyStoreTest, RotationPutsNoEndOff) {
  KeySpec spec;
  spec.expires_at = clock_.Now() + absl::Seconds(10);
  const NewKey old_key = Create(spec);
  const auto new_key = keys_->Rotate(old_key.info.id, absl::Seconds(60));
  EXPECT_EQ(keys_->Get(old_key.info.id)->expires_at, spec.expires_at);
  EXPECT_EQ(new_key->info.expires_at, spec.expires_at);
}

TEST_F(KeyStoreTest, RotationWithoutOverlapEndsTheOldKeyAtOnce) {
  const NewKey old_key = Create();
  const auto new_key = keys_->Rotate(old_key.info.id, absl::ZeroDuration());
  EXPECT_EQ(Find(old_key.key), nullptr);
  EXPECT_NE(Find(new_key->key), nullptr);
}

TEST_F(KeyStoreTest, WhatIsDeadOrWasRotatedIsNotRotated) {
  const auto refused = [&](const std::string& id) {
    const absl::Status status = keys_->Rotate(id, absl::Seconds(1)).status();
    EXPECT_EQ(FieldOf(status), "id");
    return ReasonOf(status);
  };
  const NewKey revoked = Create();
  ASSERT_TRUE(keys_->Revoke(revoked.info.id).ok());
  EXPECT_EQ(refused(revoked.info.id), Reason::FIELD_INVALID);
  KeySpec spec;
  spec.expires_at = clock_.Now() + absl::Seconds(1);
  const NewKey expired = Create(spec);
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(refused(expired.info.id), Reason::FIELD_INVALID);
  const NewKey rotated = Create();
  ASSERT_TRUE(keys_->Rotate(rotated.info.id, kLong).ok());
  EXPECT_EQ(refused(rotated.info.id), Reason::FIELD_INVALID);
  EXPECT_EQ(refused("key_unknown"), Reason::KEY_NOT_FOUND);
}

TEST_F(KeyStoreTest, AnUpdateReplacesWhatIsSet) {
  KeySpec spec;
  spec.name = "before";
  spec.limits = PerMinute(5);
  const NewKey made = Create(spec);
  KeyChange change;
  change.name = "after";
  auto updated = keys_->Update(made.info.id, change);
  ASSERT_TRUE(updated.ok()) << updated.status();
  EXPECT_EQ(updated->name, "after");
  EXPECT_EQ(updated->limits, PerMinute(5));
  change = {};
  change.limits = PerMinute(7);
  updated = keys_->Update(made.info.id, change);
  EXPECT_EQ(updated->name, "after");
  EXPECT_EQ(*Find(made.key)->limits, PerMinute(7));
  change.limits = Limits();
  updated = keys_->Update(made.info.id, change);
  EXPECT_EQ(Find(made.key)->limits, nullptr);
}

TEST_F(KeyStoreTest, WhatCannotBeIsRefusedByItsField) {
  struct Case {
    const char* field;
    Reason::Reason reason;
    KeySpec spec;
  };
  std::vector<Case> cases = {{"tenant_id", Reason::FIELD_INVALID, {}},
                             {"name", Reason::FIELD_INVALID, {}},
                             {"user_id", Reason::FIELD_INVALID, {}},
                             {"scopes", Reason::FIELD_INVALID, {}},
                             {"scopes", Reason::FIELD_INVALID, {}},
                             {"limits.concurrent", Reason::FIELD_OUT_OF_RANGE, {}},
                             {"expires_at", Reason::FIELD_OUT_OF_RANGE, {}}};
  cases[0].spec.tenant = "a b";
  cases[1].spec.name = std::string(129, 'n');
  cases[2].spec.user = std::string(257, 'u');
  cases[3].spec.scopes = {"chat", "everything"};
  cases[4].spec.scopes = {"any"};
  cases[5].spec.limits.concurrent = -1;
  cases[6].spec.expires_at = clock_.Now();
  for (const Case& c : cases) {
    const absl::Status status = keys_->Create(c.spec).status();
    EXPECT_EQ(ReasonOf(status), c.reason) << c.field << status;
    EXPECT_EQ(FieldOf(status), c.field) << status;
  }
  EXPECT_THAT(keys_->List("", 10, "")->keys, IsEmpty());

  const std::string id = Create().info.id;
  KeyChange change;
  change.name = std::string(129, 'n');
  EXPECT_EQ(FieldOf(keys_->Update(id, change).status()), "name");
  change = {};
  change.limits = PerMinute(-1);
  EXPECT_EQ(FieldOf(keys_->Update(id, change).status()), "limits.requests_per_minute");
  change = {};
  change.expires_at = clock_.Now();
  EXPECT_EQ(FieldOf(keys_->Update(id, change).status()), "expires_at");
  for (const absl::Duration overlap :
       {absl::Seconds(-1), absl::Hours(24 * 30) + absl::Seconds(1)}) {
    const absl::Status status = keys_->Rotate(id, overlap).status();
    EXPECT_EQ(ReasonOf(status), Reason::FIELD_OUT_OF_RANGE);
    EXPECT_EQ(FieldOf(status), "overlap_seconds");
  }
  EXPECT_EQ(FieldOf(keys_->SetLimits("a/b", "", {})), "tenant_id");
  EXPECT_EQ(FieldOf(keys_->SetLimits("a", std::string(257, 'u'), {})), "user_id");
  EXPECT_EQ(FieldOf(keys_->SetLimits("a", "", PerMinute(-1))), "limits.requests_per_minute");
}

TEST_F(KeyStoreTest, AnUnknownIdIsNotFound) {
  for (const absl::Status& status :
       {keys_->Get("key_x").status(), keys_->Update("key_x", {}).status(),
        keys_->Revoke("key_x").status()}) {
    EXPECT_EQ(ReasonOf(status), Reason::KEY_NOT_FOUND);
  }
}

TEST_F(KeyStoreTest, PagesGoFromNewToOldThoughKeysArrive) {
  std::vector<std::string> ids;
  for (int i = 0; i < 5; ++i) {
    KeySpec spec;
    spec.tenant = i == 1 ? "other" : "acme";
    ids.push_back(Create(spec).info.id);
    clock_.Advance(absl::Milliseconds(1));
  }
  ASSERT_TRUE(keys_->Revoke(ids[4]).ok());  // is listed all the same
  const auto ids_of = [](const KeyPage& page) {
    std::vector<std::string> result;
    for (const KeyInfo& key : page.keys) result.push_back(key.id);
    return result;
  };
  auto page = keys_->List("acme", 2, "");
  EXPECT_THAT(ids_of(*page), ElementsAre(ids[4], ids[3]));
  Create();
  page = keys_->List("acme", 2, page->next_page_token);
  EXPECT_THAT(ids_of(*page), ElementsAre(ids[2], ids[0]));
  EXPECT_EQ(page->next_page_token, "");
  EXPECT_EQ(keys_->List("", 1000, "")->keys.size(), 6u);
  EXPECT_EQ(keys_->List("", 0, "")->keys.size(), 1u);
  EXPECT_EQ(ReasonOf(keys_->List("", 2, "garbage").status()), Reason::PAGE_TOKEN_INVALID);
}

}  // namespace
}  // namespace aibackend::access
