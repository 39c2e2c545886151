#include "server/access/jwt_keys.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "nlohmann/json.hpp"
#include "server/base/status.h"

namespace aibackend::access {
namespace {

using Json = nlohmann::json;

constexpr size_t kSecretBytesMin = 32;   // RFC 7518, 3.2: no shorter than the hash
constexpr size_t kRsaBitsMin = 2048;     // RFC 7518, 3.3
constexpr size_t kJwksKeysMax = 64;      // a token without kid costs as many checks
constexpr size_t kCoordinateBytes = 32;  // of P-256

template <auto kFree>
struct Free {
  template <class T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using Pkey = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using Bio = std::unique_ptr<BIO, Free<BIO_free>>;
using Bignum = std::unique_ptr<BIGNUM, Free<BN_free>>;
using Bytes = std::vector<unsigned char>;

absl::Status Unusable(absl::string_view why) {
  ERR_clear_error();  // what a failed try left would be read as the next one's
  return MakeError(Reason::FIELD_INVALID, why);
}

// The number `name` of a key, in at least `bytes_min` bytes; empty: it has none.
Bytes NumberOf(const EVP_PKEY* key, const char* name, size_t bytes_min = 0) {
  BIGNUM* raw = nullptr;
  if (EVP_PKEY_get_bn_param(key, name, &raw) != 1) return {};
  const Bignum number(raw);
  Bytes bytes(std::max<size_t>(bytes_min, BN_num_bytes(raw)));
  if (BN_bn2binpad(raw, bytes.data(), static_cast<int>(bytes.size())) < 0) return {};
  return bytes;
}

absl::StatusOr<JwtKey> RsaKey(const EVP_PKEY* key) {
  if (EVP_PKEY_get_bits(key) < static_cast<int>(kRsaBitsMin)) {
    return Unusable(absl::StrCat("the RSA key must have at least ", kRsaBitsMin, " bits"));
  }
  Bytes n = NumberOf(key, OSSL_PKEY_PARAM_RSA_N);
  Bytes e = NumberOf(key, OSSL_PKEY_PARAM_RSA_E);
  cjose_jwk_rsa_keyspec spec = {};
  spec.n = n.data();
  spec.nlen = n.size();
  spec.e = e.data();
  spec.elen = e.size();
  JwtKey result = {JwtAlgorithm::kRs256, "", nullptr};
  if (!n.empty() && !e.empty()) result.jwk.reset(cjose_jwk_create_RSA_spec(&spec, nullptr));
  if (result.jwk == nullptr) return Unusable("the RSA key can't be used");
  return result;
}

absl::StatusOr<JwtKey> EcKey(const EVP_PKEY* key) {
  char group[64] = {};
  if (EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group),
                                     nullptr) != 1 ||
      absl::string_view(group) != SN_X9_62_prime256v1) {
    return Unusable("the EC key must be on the curve P-256");
  }
  Bytes x = NumberOf(key, OSSL_PKEY_PARAM_EC_PUB_X, kCoordinateBytes);
  Bytes y = NumberOf(key, OSSL_PKEY_PARAM_EC_PUB_Y, kCoordinateBytes);
  cjose_jwk_ec_keyspec spec = {};
  spec.crv = CJOSE_JWK_EC_P_256;
  spec.x = x.data();
  spec.xlen = x.size();
  spec.y = y.data();
  spec.ylen = y.size();
  JwtKey result = {JwtAlgorithm::kEs256, "", nullptr};
  if (!x.empty() && !y.empty()) result.jwk.reset(cjose_jwk_create_EC_spec(&spec, nullptr));
  if (result.jwk == nullptr) return Unusable("the EC key can't be used");
  return result;
}

absl::StatusOr<JwtKey> ReadPem(const std::string& content) {
  const Bio bio(BIO_new_mem_buf(content.data(), static_cast<int>(content.size())));
  const Pkey key(bio == nullptr ? nullptr
                                : PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
  if (key == nullptr) return Unusable("must hold a public key in PEM: -----BEGIN PUBLIC KEY-----");
  switch (EVP_PKEY_get_base_id(key.get())) {
    case EVP_PKEY_RSA:
      return RsaKey(key.get());
    case EVP_PKEY_EC:
      return EcKey(key.get());
    default:
      return Unusable("must be an RSA key or an EC key on the curve P-256");
  }
}

absl::StatusOr<JwtKey> ReadSecret(absl::string_view content) {
  if (absl::StrContains(content, "-----BEGIN ")) {
    return Unusable("holds a key in PEM, which is no secret: it belongs to the public key setting");
  }
  if (absl::ConsumeSuffix(&content, "\n")) absl::ConsumeSuffix(&content, "\r");
  if (content.size() < kSecretBytesMin) {
    return Unusable(absl::StrCat("the secret must have at least ", kSecretBytesMin, " bytes"));
  }
  JwtKey result = {JwtAlgorithm::kHs256, "", nullptr};
  result.jwk.reset(cjose_jwk_create_oct_spec(reinterpret_cast<const uint8_t*>(content.data()),
                                             content.size(), nullptr));
  if (result.jwk == nullptr) return Unusable("the secret can't be used");
  return result;
}

// One type of key in a JWKS, and its members that matter here.
struct JwkType {
  const char* kty;
  JwtAlgorithm algorithm;
  const char* alg;
  size_t bits_min;
  std::array<const char*, 3> members;  // nullptr: no further one
};

constexpr JwkType kJwkTypes[] = {
    {"RSA", JwtAlgorithm::kRs256, "RS256", kRsaBitsMin, {"n", "e"}},
    {"EC", JwtAlgorithm::kEs256, "ES256", 0, {"crv", "x", "y"}},
    {"oct", JwtAlgorithm::kHs256, "HS256", kSecretBytesMin * 8, {"k"}},
};

std::string TextAt(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

bool IsForSignatures(const Json& key) {
  if (key.contains("use") && TextAt(key, "use") != "sig") return false;
  const auto operations = key.find("key_ops");
  if (operations == key.end()) return true;
  if (!operations->is_array()) return false;
  return std::find(operations->begin(), operations->end(), Json("verify")) != operations->end();
}

// Null where the key isn't one for us.
JwtKey ReadJwk(const Json& key) {
  JwtKey result = {JwtAlgorithm::kHs256, "", nullptr};
  if (!key.is_object() || !IsForSignatures(key)) return result;
  for (const JwkType& type : kJwkTypes) {
    if (TextAt(key, "kty") != type.kty) continue;
    if (key.contains("alg") && TextAt(key, "alg") != type.alg) return result;
    if (type.algorithm == JwtAlgorithm::kEs256 && TextAt(key, "crv") != "P-256") return result;
    // Its public members alone: a private part that stands in the file isn't kept.
    Json members = {{"kty", type.kty}};
    for (const char* member : type.members) {
      if (member != nullptr) members[member] = TextAt(key, member);
    }
    const std::string text = members.dump();
    result.algorithm = type.algorithm;
    result.kid = TextAt(key, "kid");
    result.jwk.reset(cjose_jwk_import(text.data(), text.size(), nullptr));
    if (result.jwk == nullptr) return result;
    if (cjose_jwk_get_keysize(result.jwk.get(), nullptr) < type.bits_min) result.jwk.reset();
    return result;
  }
  return result;
}

absl::StatusOr<JwtKeySet> ReadJwks(const std::string& content) {
  const Json json = Json::parse(content, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("keys") || !json["keys"].is_array()) {
    return Unusable("must be a JSON object with an array `keys` (RFC 7517)");
  }
  if (json["keys"].size() > kJwksKeysMax) {
    return Unusable(absl::StrCat("must hold at most ", kJwksKeysMax, " keys"));
  }
  JwtKeySet set;
  set.by_kid = true;
  for (const Json& element : json["keys"]) {
    JwtKey key = ReadJwk(element);
    if (key.jwk != nullptr) set.keys.push_back(std::move(key));
  }
  ERR_clear_error();
  if (set.keys.empty()) {
    return Unusable(
        "holds no key to check signatures with: RSA of at least 2048 bits, EC on P-256, or oct of "
        "at least 32 bytes");
  }
  return set;
}

}  // namespace

absl::StatusOr<JwtKeySet> ReadJwtKeys(JwtKeyFormat format, const std::string& content) {
  if (format == JwtKeyFormat::kJwks) return ReadJwks(content);
  AIB_ASSIGN_OR_RETURN(JwtKey key,
                       format == JwtKeyFormat::kSecret ? ReadSecret(content) : ReadPem(content));
  JwtKeySet set;
  set.keys.push_back(std::move(key));
  return set;
}

}  // namespace aibackend::access
