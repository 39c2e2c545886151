#include "server/access/jwt_verifier.h"

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "server/access/key_text.h"
#include "server/base/status.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/server/access/jwt_maker.h"
#include "tests/unit/temp_folder.h"

namespace aibackend::access {
namespace {

using Json = nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kSecret[] = "a secret of at least thirty-two bytes";

// Made once: an RSA key takes a while.
const JwtMaker& Rsa() {
  static const auto* const kMaker = new JwtMaker(JwtMaker::Rsa());
  return *kMaker;
}
const JwtMaker& Ec() {
  static const auto* const kMaker = new JwtMaker(JwtMaker::Ec());
  return *kMaker;
}
const JwtMaker& Hmac() {
  static const auto* const kMaker = new JwtMaker(JwtMaker::Secret(kSecret));
  return *kMaker;
}

class JwtTest : public ::testing::Test {
 protected:
  std::string File(const std::string& content) {
    const std::string path = folder_.File("keys");
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }

  absl::StatusOr<std::unique_ptr<JwtVerifier>> TryOpen(JwtKeyFormat format,
                                                       const std::string& content,
                                                       const JwtRules& rules = {}) {
    JwtVerifier::Options options;
    options.format = format;
    options.key_file = File(content);
    options.rules = rules;
    options.remembered_max = 4;
    return JwtVerifier::Open(clock_, options);
  }

  std::unique_ptr<JwtVerifier> Open(JwtKeyFormat format, const std::string& content,
                                    const JwtRules& rules = {}) {
    auto opened = TryOpen(format, content, rules);
    EXPECT_TRUE(opened.ok()) << opened.status();
    return *std::move(opened);
  }

  std::unique_ptr<JwtVerifier> OpenSecret(const JwtRules& rules = {}) {
    return Open(JwtKeyFormat::kSecret, kSecret, rules);
  }

  static std::string Jwks(const std::vector<Json>& keys) { return Json{{"keys", keys}}.dump(); }

  int64_t In(int64_t seconds) { return absl::ToUnixSeconds(clock_.Now()) + seconds; }

  Json Claims(const Json& change = Json::object()) {
    Json claims = {{"exp", In(600)}, {"sub", "ann"}, {"tenant", "acme"}};
    claims.merge_patch(change);
    return claims;
  }

  // Why `verifier` refuses; empty: it doesn't.
  static std::string Refusal(JwtVerifier& verifier, const std::string& token) {
    const auto principal = verifier.Verify(token);
    if (principal.ok()) return "";
    EXPECT_EQ(ReasonOf(principal.status()), Reason::KEY_INVALID);
    return std::string(principal.status().message());
  }

  TempFolder folder_;
  FakeClock clock_;
};

TEST_F(JwtTest, EachAlgorithmIsRightWithItsKeyFromItsFile) {
  const auto expect_ann = [&](JwtVerifier& verifier, const std::string& token) {
    const auto principal = verifier.Verify(token);
    ASSERT_TRUE(principal.ok()) << principal.status();
    EXPECT_EQ((*principal)->user, "ann");
    EXPECT_EQ((*principal)->tenant, "acme");
    EXPECT_EQ((*principal)->key_id, "");
    EXPECT_TRUE((*principal)->scopes.empty());
  };
  expect_ann(*OpenSecret(), Hmac().Token(Claims()));
  expect_ann(*Open(JwtKeyFormat::kPublicKeyPem, Rsa().PublicPem()), Rsa().Token(Claims()));
  expect_ann(*Open(JwtKeyFormat::kPublicKeyPem, Ec().PublicPem()), Ec().Token(Claims()));
  const auto all =
      Open(JwtKeyFormat::kJwks, Jwks({Rsa().Jwk("r"), Ec().Jwk("e"), Hmac().Jwk("h")}));
  for (const JwtMaker* maker : {&Rsa(), &Ec(), &Hmac()}) {
    expect_ann(*all, maker->Token(Claims()));
    expect_ann(*all, maker->Token(Claims(), {{"kid", maker->Jwk("x")["kty"] == "RSA"  ? "r"
                                                     : maker->Jwk("x")["kty"] == "EC" ? "e"
                                                                                      : "h"}}));
  }
}

TEST_F(JwtTest, CoordinatesThatBeginWithZerosAreWhole) {
  // One key in 128 has one; some of these do.
  for (int i = 0; i < 300; ++i) {
    const JwtMaker maker = JwtMaker::Ec();
    const auto keys = ReadJwtKeys(JwtKeyFormat::kPublicKeyPem, maker.PublicPem());
    ASSERT_TRUE(keys.ok()) << keys.status();
    EXPECT_TRUE(VerifiedPayload(*keys, maker.Token(Claims())).ok());
  }
}

TEST_F(JwtTest, AWrongSignatureIsRefused) {
  const auto verifier = Open(JwtKeyFormat::kJwks, Jwks({Rsa().Jwk(), Ec().Jwk(), Hmac().Jwk()}));
  for (const JwtMaker* maker : {&Rsa(), &Ec(), &Hmac()}) {
    const std::string token = maker->Token(Claims());
    const std::vector<std::string> parts = absl::StrSplit(token, '.');
    std::string flipped = token;
    char& c = flipped[token.size() - parts[2].size() / 2];
    c = c == 'A' ? 'B' : 'A';
    EXPECT_THAT(Refusal(*verifier, flipped), HasSubstr("signature"));

    const std::string other =
        absl::StrCat(parts[0], ".", Base64Url(Claims({{"sub", "eve"}}).dump()), ".", parts[2]);
    EXPECT_THAT(Refusal(*verifier, other), HasSubstr("signature"));
    EXPECT_EQ(Refusal(*verifier, token), "");
  }
  EXPECT_THAT(Refusal(*verifier, JwtMaker::Secret(std::string(32, 's')).Token(Claims())),
              HasSubstr("signature"));
  EXPECT_THAT(Refusal(*verifier, JwtMaker::Ec().Token(Claims())), HasSubstr("signature"));
}

TEST_F(JwtTest, ATokenCutAtAnyByteIsRefused) {
  const auto verifier = Open(JwtKeyFormat::kJwks, Jwks({Rsa().Jwk(), Ec().Jwk(), Hmac().Jwk()}));
  for (const JwtMaker* maker : {&Rsa(), &Ec(), &Hmac()}) {
    const std::string token = maker->Token(Claims());
    for (size_t size = 0; size < token.size(); ++size) {
      EXPECT_NE(Refusal(*verifier, token.substr(0, size)), "") << maker->alg() << size;
      EXPECT_NE(Refusal(*verifier, token.substr(token.size() - size)), "") << maker->alg() << size;
    }
    EXPECT_EQ(Refusal(*verifier, token), "");
  }
}

TEST_F(JwtTest, AlgorithmNoneIsRefusedHoweverItIsWritten) {
  const auto verifier = OpenSecret();
  for (const Json& alg : {Json("none"), Json("None"), Json("NONE"), Json(""), Json("HS512"),
                          Json("PS256"), Json("hs256"), Json(1), Json(nullptr)}) {
    const Json header = {{"alg", alg}};
    const std::string token = Hmac().Token(Claims(), header);
    EXPECT_NE(Refusal(*verifier, token), "") << alg;
    const std::vector<std::string> parts = absl::StrSplit(token, '.');
    EXPECT_NE(Refusal(*verifier, absl::StrCat(parts[0], ".", parts[1], ".")), "") << alg;
  }
}

TEST_F(JwtTest, APublicKeyIsNoSecret) {
  // The old confusion: HS256, with the text of the public key for a secret.
  const std::string pem = Rsa().PublicPem();
  const std::string forged = JwtMaker::Secret(pem).Token(Claims());
  const auto by_pem = Open(JwtKeyFormat::kPublicKeyPem, pem);
  EXPECT_THAT(Refusal(*by_pem, forged), HasSubstr("no key fits"));
  const auto by_jwks = Open(JwtKeyFormat::kJwks, Jwks({Rsa().Jwk("r"), Ec().Jwk("e")}));
  EXPECT_THAT(Refusal(*by_jwks, forged), HasSubstr("no key fits"));
  EXPECT_THAT(Refusal(*by_jwks, JwtMaker::Secret(pem).Token(Claims(), {{"kid", "r"}})),
              HasSubstr("no key fits"));
  EXPECT_THAT(TryOpen(JwtKeyFormat::kSecret, pem).status().message(), HasSubstr("no secret"));
  // And a key of one type with the algorithm of the other.
  EXPECT_NE(Refusal(*by_pem, Ec().Token(Claims())), "");
  EXPECT_NE(Refusal(*by_jwks, Rsa().Token(Claims(), {{"alg", "ES256"}})), "");
  EXPECT_NE(Refusal(*by_jwks, Ec().Token(Claims(), {{"alg", "RS256"}})), "");
}

TEST_F(JwtTest, AKidPicksTheKeyOfASet) {
  const JwtMaker second = JwtMaker::Ec();
  const auto verifier = Open(JwtKeyFormat::kJwks, Jwks({Ec().Jwk("1"), second.Jwk("2")}));
  EXPECT_EQ(Refusal(*verifier, second.Token(Claims(), {{"kid", "2"}})), "");
  EXPECT_EQ(Refusal(*verifier, second.Token(Claims({{"n", 1}}))), "");  // all are tried
  EXPECT_THAT(Refusal(*verifier, second.Token(Claims(), {{"kid", "1"}})), HasSubstr("signature"));
  EXPECT_THAT(Refusal(*verifier, second.Token(Claims(), {{"kid", "3"}})), HasSubstr("no key fits"));
  // A file with one key has no names.
  EXPECT_EQ(Refusal(*OpenSecret(), Hmac().Token(Claims(), {{"kid", "any"}})), "");
}

TEST_F(JwtTest, AHeaderWithCritIsRefused) {
  const auto verifier = OpenSecret();
  EXPECT_THAT(Refusal(*verifier, Hmac().Token(Claims(), {{"crit", {"exp"}}, {"exp", 1}})),
              HasSubstr("crit"));
  EXPECT_THAT(Refusal(*verifier, Hmac().Token(Claims(), {{"crit", Json::array()}})),
              HasSubstr("crit"));
}

TEST_F(JwtTest, GarbageIsRefused) {
  const auto verifier = OpenSecret();
  const std::string good = Hmac().Token(Claims());
  for (const std::string& token :
       {std::string(), std::string("."), std::string(".."), std::string("..."),
        std::string("eyJ.eyJ.eyJ"), std::string("a.b.c"), good + ".", good + ".x", "." + good,
        good + " ", good + "\n", good + "=", std::string(100, '.'), std::string("\0.\0.\0", 5),
        absl::StrCat(Base64Url("[]"), ".e30.e30"), absl::StrCat(Base64Url("{"), ".e30.e30"),
        absl::StrCat(Base64Url(std::string(4000, '[')), ".e30.e30")}) {
    EXPECT_NE(Refusal(*verifier, token), "") << token;
  }
  for (const std::string& payload :
       {std::string(), std::string("null"), std::string("[]"), std::string("\"x\""),
        std::string("{"), std::string("{\"exp\":1e999}"), std::string(4000, '['),
        std::string("{\"exp\":99999999999,\"sub\":\"\xff\"}")}) {
    EXPECT_NE(Refusal(*verifier, Hmac().TokenOf(payload)), "") << payload;
  }
}

TEST_F(JwtTest, AHugeTokenIsRefusedBeforeItIsRead) {
  const auto verifier = OpenSecret();
  EXPECT_EQ(Refusal(*verifier, Hmac().Token(Claims({{"x", std::string(5000, 'x')}}))), "");
  EXPECT_THAT(Refusal(*verifier, Hmac().Token(Claims({{"x", std::string(7000, 'x')}}))),
              HasSubstr("8192 bytes"));
  EXPECT_EQ(verifier->checks(), 1);
}

TEST_F(JwtTest, ATokenHasItsTimes) {
  const auto verifier = OpenSecret();
  const auto refusal = [&](const Json& change) {
    return Refusal(*verifier, Hmac().Token(Claims(change)));
  };
  EXPECT_THAT(refusal({{"exp", nullptr}}), HasSubstr("no `exp`"));
  EXPECT_THAT(refusal({{"exp", In(0)}}), HasSubstr("expired"));
  EXPECT_THAT(refusal({{"exp", -1e300}}), HasSubstr("expired"));
  EXPECT_THAT(refusal({{"exp", absl::StrCat(In(60))}}), HasSubstr("no number"));
  EXPECT_EQ(refusal({{"exp", static_cast<double>(In(0)) + 0.5}}), "");
  EXPECT_EQ(refusal({{"exp", 1e300}}), "");
  for (const char* start : {"nbf", "iat"}) {
    EXPECT_THAT(refusal({{start, In(31)}}), HasSubstr("future"));
    EXPECT_THAT(refusal({{start, true}}), HasSubstr("no number"));
    EXPECT_EQ(refusal({{start, In(30)}}), "");  // the issuer's clock may be ahead
  }
}

TEST_F(JwtTest, ARememberedTokenExpiresAllTheSame) {
  const auto verifier = OpenSecret();
  const std::string token = Hmac().Token(Claims({{"exp", In(10)}}));
  EXPECT_EQ(Refusal(*verifier, token), "");
  clock_.Advance(absl::Seconds(9));
  EXPECT_EQ(Refusal(*verifier, token), "");
  EXPECT_EQ(verifier->checks(), 1);
  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(Refusal(*verifier, token), HasSubstr("expired"));
}

TEST_F(JwtTest, ATokenIsForItsPartiesAlone) {
  JwtRules rules;
  rules.issuer = "https://issuer.test";
  rules.audience = "backend";
  const auto verifier = OpenSecret(rules);
  const auto refusal = [&](const Json& iss, const Json& aud) {
    return Refusal(*verifier, Hmac().Token(Claims({{"iss", iss}, {"aud", aud}})));
  };
  EXPECT_EQ(refusal("https://issuer.test", "backend"), "");
  EXPECT_EQ(refusal("https://issuer.test", {"other", "backend"}), "");
  for (const Json& iss : {Json(nullptr), Json("https://issuer.test/"), Json(1)}) {
    EXPECT_THAT(refusal(iss, "backend"), HasSubstr("issuer")) << iss;
  }
  for (const Json& aud : {Json(nullptr), Json("backend2"), Json::array(), Json({"other"}),
                          Json({{"backend", 1}}), Json({{"backend"}})}) {
    EXPECT_THAT(refusal("https://issuer.test", aud), HasSubstr("audience")) << aud;
  }
  // Not asked for: any will do.
  EXPECT_EQ(Refusal(*OpenSecret(), Hmac().Token(Claims({{"iss", "x"}, {"aud", "y"}}))), "");
}

TEST_F(JwtTest, ClaimsSayForWhomItSpeaksAndWhatItMayDo) {
  const auto verifier = OpenSecret();
  const auto of = [&](const Json& change) {
    const auto principal = verifier->Verify(Hmac().Token(Claims(change)));
    EXPECT_TRUE(principal.ok()) << principal.status();
    return **principal;
  };
  EXPECT_EQ(of({{"tenant", nullptr}}).tenant, "default");
  EXPECT_EQ(of({{"sub", nullptr}}).user, "");
  EXPECT_THAT(ScopeNames(of({{"scope", " openid  chat jobs"}}).scopes),
              ElementsAre("chat", "jobs"));
  EXPECT_THAT(ScopeNames(of({{"scope", {"usage", "x"}}}).scopes), ElementsAre("usage"));
  EXPECT_TRUE(of({{"scope", "admin"}}).is_admin());
  EXPECT_TRUE(of(Json::object()).May(Scope::kChat));
  for (const Json& nothing : {Json(""), Json("openid profile"), Json::array(), Json({"x"})}) {
    const Principal principal = of({{"scope", nothing}});
    EXPECT_FALSE(principal.May(Scope::kChat)) << nothing;
    EXPECT_TRUE(principal.May(Scope::kAny)) << nothing;
  }
}

TEST_F(JwtTest, ClaimsThatCannotBeAreRefused) {
  const auto verifier = OpenSecret();
  for (const Json& change : {Json{{"tenant", ""}}, Json{{"tenant", "a/b"}}, Json{{"tenant", 7}},
                             Json{{"tenant", std::string(65, 't')}}, Json{{"sub", 7}},
                             Json{{"sub", std::string(257, 'u')}}, Json{{"scope", 7}},
                             Json{{"scope", {"chat", 7}}}, Json{{"scope", {{"chat", true}}}}}) {
    EXPECT_NE(Refusal(*verifier, Hmac().Token(Claims(change))), "") << change;
  }
  EXPECT_NE(
      Refusal(*verifier, Hmac().TokenOf(absl::StrCat(R"({"tenant":null,"exp":)", In(60), "}"))),
      "");
}

TEST_F(JwtTest, ClaimsMayHaveOtherNames) {
  JwtRules rules;
  rules.tenant_claim = "https://app.test/org";
  rules.user_claim = "email";
  rules.scope_claim = "permissions";
  const auto verifier = OpenSecret(rules);
  const auto principal = verifier->Verify(Hmac().Token(Claims({{"https://app.test/org", "t2"},
                                                               {"email", "a@b.test"},
                                                               {"scope", "admin"},
                                                               {"permissions", {"chat"}}})));
  ASSERT_TRUE(principal.ok()) << principal.status();
  EXPECT_EQ((*principal)->tenant, "t2");
  EXPECT_EQ((*principal)->user, "a@b.test");
  EXPECT_THAT(ScopeNames((*principal)->scopes), ElementsAre("chat"));
}

TEST_F(JwtTest, ARightTokenIsCheckedOnceAndAWrongOneEachTime) {
  const auto verifier = OpenSecret();
  const std::string token = Hmac().Token(Claims());
  const auto first = verifier->Verify(token);
  const auto second = verifier->Verify(token);
  EXPECT_EQ(*first, *second);
  EXPECT_EQ(verifier->checks(), 1);
  for (int i = 0; i < 2; ++i) EXPECT_NE(Refusal(*verifier, token.substr(1)), "");
  EXPECT_EQ(verifier->checks(), 3);
}

TEST_F(JwtTest, WhatIsRememberedIsBoundedAndStaysWhileItIsUsed) {
  const auto verifier = OpenSecret();  // remembers 4
  const std::string used = Hmac().Token(Claims());
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(Refusal(*verifier, used), "");
    EXPECT_EQ(Refusal(*verifier, Hmac().Token(Claims({{"n", i}}))), "");
  }
  EXPECT_EQ(verifier->checks(), 21);
  EXPECT_EQ(Refusal(*verifier, Hmac().Token(Claims({{"n", 0}}))), "");
  EXPECT_EQ(verifier->checks(), 22);
}

TEST_F(JwtTest, AChangedFileIsReadWithinASecondAndForgetsWhatTheOldKeysSigned) {
  const JwtMaker next = JwtMaker::Ec();
  const auto verifier = Open(JwtKeyFormat::kJwks, Jwks({Ec().Jwk("1")}));
  const std::string old_token = Ec().Token(Claims());
  const std::string new_token = next.Token(Claims());
  EXPECT_EQ(Refusal(*verifier, old_token), "");
  File(Jwks({next.Jwk("second")}));
  clock_.Advance(absl::Milliseconds(999));
  EXPECT_NE(Refusal(*verifier, new_token), "");  // not looked at yet
  clock_.Advance(absl::Milliseconds(1));
  EXPECT_EQ(Refusal(*verifier, new_token), "");
  EXPECT_NE(Refusal(*verifier, old_token), "");
}

TEST_F(JwtTest, AClockThatIsSetBackHoldsUpNoLookAtTheFile) {
  const auto verifier = Open(JwtKeyFormat::kJwks, Jwks({Ec().Jwk("1")}));
  const JwtMaker next = JwtMaker::Ec();
  clock_.Advance(-absl::Hours(1));
  EXPECT_EQ(Refusal(*verifier, Ec().Token(Claims())), "");
  File(Jwks({next.Jwk("second")}));
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(Refusal(*verifier, next.Token(Claims())), "");
}

TEST_F(JwtTest, AFileThatCannotBeReadLeavesTheKeysAsTheyWere) {
  const auto verifier = Open(JwtKeyFormat::kJwks, Jwks({Ec().Jwk("1")}));
  const std::string token = Ec().Token(Claims());
  File("{\"keys\": [");
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(Refusal(*verifier, token), "");
  std::filesystem::remove(folder_.File("keys"));
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(Refusal(*verifier, token), "");
  File(Jwks({JwtMaker::Ec().Jwk("1")}));
  clock_.Advance(absl::Seconds(1));
  EXPECT_NE(Refusal(*verifier, token), "");
}

TEST_F(JwtTest, KeysThatAreNotForUsAreLeftOut) {
  const auto with = [](Json jwk, const Json& change) {
    jwk.merge_patch(change);
    return jwk;
  };
  const std::vector<Json> unusable = {with(Rsa().Jwk(), {{"use", "enc"}}),
                                      with(Rsa().Jwk(), {{"alg", "RS512"}}),
                                      with(Rsa().Jwk(), {{"key_ops", {"encrypt"}}}),
                                      with(Rsa().Jwk(), {{"n", nullptr}}),
                                      with(Ec().Jwk(), {{"crv", "P-384"}}),
                                      with(Ec().Jwk(), {{"x", Ec().Jwk()["y"]}}),
                                      with(Ec().Jwk(), {{"kty", "OKP"}}),
                                      JwtMaker::Rsa(1024).Jwk(),
                                      JwtMaker::Secret("short").Jwk(),
                                      Json("text")};
  for (const Json& jwk : unusable) {
    const auto opened = TryOpen(JwtKeyFormat::kJwks, Jwks({jwk}));
    EXPECT_EQ(ReasonOf(opened.status()), Reason::FIELD_INVALID) << jwk;
  }
  std::vector<Json> keys = unusable;
  keys.push_back(
      with(Ec().Jwk("e"), {{"use", "sig"}, {"alg", "ES256"}, {"key_ops", {"verify"}}, {"x5t", 1}}));
  const auto verifier = Open(JwtKeyFormat::kJwks, Jwks(keys));
  EXPECT_EQ(Refusal(*verifier, Ec().Token(Claims(), {{"kid", "e"}})), "");
  EXPECT_NE(Refusal(*verifier, Rsa().Token(Claims())), "");
}

TEST_F(JwtTest, AFileWithoutAKeyForUsIsRefusedByItsName) {
  struct Case {
    JwtKeyFormat format;
    std::string content;
  };
  const Case cases[] = {{JwtKeyFormat::kPublicKeyPem, ""},
                        {JwtKeyFormat::kPublicKeyPem, "garbage"},
                        {JwtKeyFormat::kPublicKeyPem, Rsa().PrivatePem()},
                        {JwtKeyFormat::kPublicKeyPem, JwtMaker::Rsa(1024).PublicPem()},
                        {JwtKeyFormat::kPublicKeyPem, JwtMaker::Ec("P-384").PublicPem()},
                        {JwtKeyFormat::kSecret, std::string(31, 's')},
                        {JwtKeyFormat::kSecret, std::string(31, 's') + "\n"},
                        {JwtKeyFormat::kJwks, ""},
                        {JwtKeyFormat::kJwks, "[]"},
                        {JwtKeyFormat::kJwks, "{\"keys\":{}}"},
                        {JwtKeyFormat::kJwks, "{\"keys\":[]}"},
                        {JwtKeyFormat::kJwks, Jwks(std::vector<Json>(65, Ec().Jwk()))},
                        {JwtKeyFormat::kJwks, std::string((1 << 20) + 1, ' ')}};
  for (const Case& c : cases) {
    const absl::Status status = TryOpen(c.format, c.content).status();
    EXPECT_EQ(ReasonOf(status), Reason::FIELD_INVALID) << c.content.substr(0, 80);
    EXPECT_THAT(std::string(status.message()), HasSubstr(folder_.File("keys")));
  }
  std::filesystem::remove(folder_.File("keys"));
  JwtVerifier::Options options;
  options.key_file = folder_.File("keys");
  EXPECT_FALSE(JwtVerifier::Open(clock_, options).ok());
  options.key_file = folder_.File("");  // a folder
  EXPECT_FALSE(JwtVerifier::Open(clock_, options).ok());
}

TEST_F(JwtTest, TheEndOfALineIsNoPartOfASecret) {
  for (const char* end : {"", "\n", "\r\n"}) {
    const auto verifier = Open(JwtKeyFormat::kSecret, absl::StrCat(kSecret, end));
    EXPECT_EQ(Refusal(*verifier, Hmac().Token(Claims())), "");
  }
}

TEST_F(JwtTest, ARefusalHoldsNoWordOfTheToken) {
  const auto verifier = OpenSecret();
  const Json secret_claims = Claims({{"tenant", "a/confidential"}, {"sub", "confidential"}});
  EXPECT_THAT(Refusal(*verifier, Hmac().Token(secret_claims)), Not(HasSubstr("confidential")));
}

TEST(JwtShape, ATokenBeginsAsAnObjectAndHasTwoDots) {
  EXPECT_TRUE(JwtVerifier::LooksLikeToken("eyJ.x.y"));
  for (const char* text : {"", "none", "sk-a.b.c", "ey", "ey.a", "ey.a.b.c", "aib_ey.."}) {
    EXPECT_FALSE(JwtVerifier::LooksLikeToken(text)) << text;
  }
}

}  // namespace
}  // namespace aibackend::access
