#include "server/access/authenticator.h"

#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/access/jwt_verifier.h"
#include "server/access/key_store.h"
#include "server/base/status.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/server/access/jwt_maker.h"
#include "tests/unit/temp_folder.h"

namespace aibackend::access {
namespace {

constexpr char kAdminKey[] = "an-admin-key-of-the-test";
constexpr char kSecret[] = "a secret of at least thirty-two bytes";

class AuthenticatorTest : public ::testing::Test {
 protected:
  AuthenticatorTest() : database_(*storage::OpenSqlite(folder_.File("test.sqlite"))) {
    KeyStore::Options options;
    options.poll_interval = absl::Hours(1);
    keys_ = *KeyStore::Open(*database_, clock_, ids_, options);
    live_ = Create("live");
    revoked_ = Create("revoked");
    EXPECT_TRUE(keys_->Revoke(id_).ok());
    expired_ = Create("expired", clock_.Now() + absl::Seconds(1));
    clock_.Advance(absl::Seconds(1));

    JwtVerifier::Options token_options;
    token_options.format = JwtKeyFormat::kSecret;
    token_options.key_file = folder_.File("secret");
    std::ofstream(token_options.key_file) << kSecret;
    tokens_ = *JwtVerifier::Open(clock_, token_options);
    token_ = Token(kSecret, absl::Seconds(60));
    forged_ = Token("another secret of thirty-two bytes and more", absl::Seconds(60));
    old_token_ = Token(kSecret, absl::Seconds(-1));
  }

  std::string Create(const char* tenant, absl::optional<absl::Time> expires_at = {}) {
    KeySpec spec;
    spec.tenant = tenant;
    spec.expires_at = expires_at;
    const auto made = keys_->Create(spec);
    EXPECT_TRUE(made.ok()) << made.status();
    id_ = made->info.id;
    return made->key;
  }

  std::string Token(const std::string& secret, absl::Duration life) {
    return JwtMaker::Secret(secret).Token(
        {{"tenant", "token"}, {"exp", absl::ToUnixSeconds(clock_.Now() + life)}});
  }

  // "tenant" or "tenant+admin" of the caller, or the reason of the refusal.
  static std::string Outcome(const Authenticator& authenticator, const std::string& authorization,
                             const std::string& api_key, bool required) {
    const auto caller = authenticator.Authenticate({authorization, api_key}, required);
    if (!caller.ok()) return ReasonName(ReasonOf(caller.status()));
    return (*caller)->tenant + ((*caller)->is_admin() ? "+admin" : "");
  }

  TempFolder folder_;
  FakeClock clock_;
  UlidSource ids_{clock_};
  std::unique_ptr<storage::Database> database_;
  std::unique_ptr<KeyStore> keys_;
  std::unique_ptr<JwtVerifier> tokens_;
  std::string id_;  // of the key made last
  std::string live_, revoked_, expired_, token_, forged_, old_token_;
};

TEST_F(AuthenticatorTest, EachCredentialHasItsCaller) {
  const Authenticator authenticator(kAdminKey, keys_.get(), tokens_.get());
  struct Case {
    std::string credential;
    const char* required;
    const char* open;
  };
  const Case cases[] = {
      {"", "KEY_REQUIRED", "default+admin"},
      {kAdminKey, "default+admin", "default+admin"},
      {absl::StrCat(kAdminKey, "x"), "KEY_INVALID", "default+admin"},
      {live_, "live", "live"},
      {live_ + "x", "KEY_INVALID", "KEY_INVALID"},
      {"aib_", "KEY_INVALID", "KEY_INVALID"},
      {revoked_, "KEY_INVALID", "KEY_INVALID"},
      {expired_, "KEY_INVALID", "KEY_INVALID"},
      {token_, "token", "token"},
      {forged_, "KEY_INVALID", "KEY_INVALID"},
      {old_token_, "KEY_INVALID", "KEY_INVALID"},
      {"eyJ..", "KEY_INVALID", "KEY_INVALID"},
      {"none", "KEY_INVALID", "default+admin"},
      {"sk-abc.def.ghi", "KEY_INVALID", "default+admin"},
  };
  for (const Case& c : cases) {
    const std::string bearer = absl::StrCat("Bearer ", c.credential);
    for (const bool required : {true, false}) {
      const char* const expected = required ? c.required : c.open;
      EXPECT_EQ(Outcome(authenticator, bearer, "", required), expected) << bearer;
      EXPECT_EQ(Outcome(authenticator, "", c.credential, required), expected) << c.credential;
      EXPECT_EQ(Outcome(authenticator, bearer, c.credential, required), expected) << bearer;
    }
  }
}

TEST_F(AuthenticatorTest, OfTwoThatDifferBothMustBeRight) {
  const Authenticator authenticator(kAdminKey, keys_.get(), tokens_.get());
  struct Case {
    std::string authorization;
    std::string api_key;
    const char* required;
    const char* open;
  };
  const Case cases[] = {
      {live_, kAdminKey, "live", "live"},
      {kAdminKey, live_, "default+admin", "default+admin"},
      {live_, revoked_, "KEY_INVALID", "KEY_INVALID"},
      {forged_, live_, "KEY_INVALID", "KEY_INVALID"},
      {live_, "none", "KEY_INVALID", "live"},
      {"none", live_, "KEY_INVALID", "live"},
      {"none", "other", "KEY_INVALID", "default+admin"},
  };
  for (const Case& c : cases) {
    const std::string bearer = absl::StrCat("Bearer ", c.authorization);
    EXPECT_EQ(Outcome(authenticator, bearer, c.api_key, true), c.required) << bearer;
    EXPECT_EQ(Outcome(authenticator, bearer, c.api_key, false), c.open) << bearer;
  }
}

TEST_F(AuthenticatorTest, TheSchemeIsBearerHoweverItIsWritten) {
  const Authenticator authenticator(kAdminKey, keys_.get(), tokens_.get());
  for (const std::string& authorization :
       {absl::StrCat("bearer  ", live_, " "), absl::StrCat("BEARER\t", live_), live_}) {
    EXPECT_EQ(Outcome(authenticator, authorization, "", true), "live") << authorization;
  }
  for (const char* none : {"", " ", "Bearer", "Bearer "}) {
    EXPECT_EQ(Outcome(authenticator, none, "", true), "KEY_REQUIRED") << none;
  }
  for (const std::string& authorization :
       {absl::StrCat("Basic ", kAdminKey), absl::StrCat("Bearer", kAdminKey),
        absl::StrCat("Bearer Bearer ", kAdminKey)}) {
    EXPECT_EQ(Outcome(authenticator, authorization, "", true), "KEY_INVALID") << authorization;
    EXPECT_EQ(Outcome(authenticator, authorization, "", false), "default+admin") << authorization;
  }
}

TEST_F(AuthenticatorTest, WhatIsNotSetUpOpensNothing) {
  const Authenticator bare("", nullptr, nullptr);
  for (const std::string& credential : {std::string(kAdminKey), live_, token_}) {
    EXPECT_EQ(Outcome(bare, "", credential, true), "KEY_INVALID") << credential;
  }
  EXPECT_EQ(Outcome(bare, "", "", true), "KEY_REQUIRED");
  EXPECT_EQ(Outcome(bare, "", "", false), "default+admin");
  EXPECT_EQ(Outcome(bare, "", token_, false), "default+admin");  // no credential of ours here
  EXPECT_EQ(Outcome(bare, "", live_, false), "KEY_INVALID");
}

TEST_F(AuthenticatorTest, AnAdminKeyMayLookLikeAnything) {
  for (const std::string& key : {std::string("aib_admin"), std::string("ey.a.b")}) {
    const Authenticator authenticator(key, keys_.get(), tokens_.get());
    EXPECT_EQ(Outcome(authenticator, "", key, true), "default+admin");
  }
}

TEST_F(AuthenticatorTest, ARefusalTellsNeitherTheCauseNorTheKey) {
  const Authenticator authenticator(kAdminKey, keys_.get(), tokens_.get());
  const std::string message =
      std::string(authenticator.Authenticate({"", "wrong"}, true).status().message());
  EXPECT_EQ(message, "the key is not valid");
  for (const std::string& credential : {revoked_, expired_, forged_, old_token_, live_ + "x"}) {
    EXPECT_EQ(authenticator.Authenticate({"", credential}, true).status().message(), message);
  }
}

}  // namespace
}  // namespace aibackend::access
