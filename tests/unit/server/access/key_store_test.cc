#include "server/access/key_store.h"

#include <algorithm>
#include <atomic>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "server/base/status.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/temp_folder.h"

namespace aibackend::access {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using Kind = Subject::Kind;

constexpr absl::Duration kLong = absl::Seconds(60);
constexpr absl::Duration kNever = absl::Hours(1);  // no poll during a test

// A database that a test takes away.
class FickleDatabase final : public storage::Database {
 public:
  explicit FickleDatabase(const std::string& path)
      : real_(*storage::OpenSqlite(path, {4, absl::Milliseconds(20)})) {}

  absl::Status Read(absl::FunctionRef<absl::Status(storage::Session&)> work) override {
    return is_away ? Away() : real_->Read(work);
  }
  absl::Status Write(absl::FunctionRef<absl::Status(storage::Session&)> work) override {
    return is_away ? Away() : real_->Write(work);
  }

  std::atomic<bool> is_away{false};

 private:
  static absl::Status Away() { return MakeError(Reason::DATABASE_UNAVAILABLE, "away"); }
  const std::unique_ptr<storage::Database> real_;
};

Limits PerMinute(int64_t requests) {
  Limits limits;
  limits.requests_per_minute = requests;
  return limits;
}

class KeyStoreTest : public ::testing::Test {
 protected:
  KeyStoreTest() : database_(Path()) { keys_ = Open(database_, kNever); }

  std::string Path() { return folder_.File("test.sqlite"); }

  std::unique_ptr<KeyStore> Open(storage::Database& database, absl::Duration poll_interval,
                                 KeyStore::Defaults defaults = {}) {
    auto opened = KeyStore::Open(database, clock_, ids_, {poll_interval, defaults});
    EXPECT_TRUE(opened.ok()) << opened.status();
    return *std::move(opened);
  }

  std::shared_ptr<const Principal> Find(const std::string& key) {
    return keys_->Find(DigestOf(key));
  }

  NewKey Create(const KeySpec& spec = {}) {
    auto made = keys_->Create(spec);
    EXPECT_TRUE(made.ok()) << made.status();
    return *std::move(made);
  }

  void Run(storage::Database& database, const std::string& sql,
           std::vector<storage::Value> parameters = {}) {
    const absl::Status done = database.Write(
        [&](storage::Session& session) { return session.Execute(sql, parameters).status(); });
    ASSERT_TRUE(done.ok()) << done;
  }

  TempFolder folder_;
  FakeClock clock_;
  UlidSource ids_{clock_};
  FickleDatabase database_;
  std::unique_ptr<KeyStore> keys_;
};

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
