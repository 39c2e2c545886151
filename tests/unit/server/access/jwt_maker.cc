#include "tests/unit/server/access/jwt_maker.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <stdexcept>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace aibackend::access {
namespace {

using Json = nlohmann::json;

void Require(bool done) {
  if (!done) throw std::runtime_error("OpenSSL");
}

std::string BytesOf(const BIGNUM* number, int size) {
  std::string bytes(size, '\0');
  Require(BN_bn2binpad(number, reinterpret_cast<unsigned char*>(bytes.data()), size) == size);
  return bytes;
}

std::string NumberOf(const EVP_PKEY* key, const char* name, int size = 0) {
  BIGNUM* number = nullptr;
  Require(EVP_PKEY_get_bn_param(key, name, &number) == 1);
  std::string bytes = BytesOf(number, size == 0 ? BN_num_bytes(number) : size);
  BN_free(number);
  return Base64Url(bytes);
}

std::string TextOf(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, size);
  BIO_free(bio);
  return text;
}

// JWS has r and s side by side, 32 bytes each (RFC 7518, 3.4); OpenSSL has them in DER.
std::string SideBySide(const std::string& der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  ECDSA_SIG* signature = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size()));
  Require(signature != nullptr);
  std::string bytes = BytesOf(ECDSA_SIG_get0_r(signature), 32);
  bytes += BytesOf(ECDSA_SIG_get0_s(signature), 32);
  ECDSA_SIG_free(signature);
  return bytes;
}

}  // namespace

std::string Base64Url(absl::string_view bytes) {
  return absl::WebSafeBase64Escape(bytes);
}

JwtMaker JwtMaker::Rsa(int bits) {
  JwtMaker maker;
  maker.alg_ = "RS256";
  maker.key_.reset(EVP_RSA_gen(bits), EVP_PKEY_free);
  Require(maker.key_ != nullptr);
  return maker;
}

JwtMaker JwtMaker::Ec(const char* curve) {
  JwtMaker maker;
  maker.alg_ = "ES256";
  maker.key_.reset(EVP_EC_gen(curve), EVP_PKEY_free);
  Require(maker.key_ != nullptr);
  return maker;
}

JwtMaker JwtMaker::Secret(const std::string& secret) {
  JwtMaker maker;
  maker.alg_ = "HS256";
  maker.secret_ = secret;
  return maker;
}

std::string JwtMaker::PublicPem() const {
  BIO* bio = BIO_new(BIO_s_mem());
  Require(PEM_write_bio_PUBKEY(bio, key_.get()) == 1);
  return TextOf(bio);
}

std::string JwtMaker::PrivatePem() const {
  BIO* bio = BIO_new(BIO_s_mem());
  Require(PEM_write_bio_PrivateKey(bio, key_.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return TextOf(bio);
}

Json JwtMaker::Jwk(const std::string& kid) const {
  Json jwk;
  if (alg_ == "HS256") {
    jwk = {{"kty", "oct"}, {"k", Base64Url(secret_)}};
  } else if (alg_ == "RS256") {
    jwk = {{"kty", "RSA"},
           {"n", NumberOf(key_.get(), OSSL_PKEY_PARAM_RSA_N)},
           {"e", NumberOf(key_.get(), OSSL_PKEY_PARAM_RSA_E)}};
  } else {
    jwk = {{"kty", "EC"},
           {"crv", "P-256"},
           {"x", NumberOf(key_.get(), OSSL_PKEY_PARAM_EC_PUB_X, 32)},
           {"y", NumberOf(key_.get(), OSSL_PKEY_PARAM_EC_PUB_Y, 32)}};
  }
  if (!kid.empty()) jwk["kid"] = kid;
  return jwk;
}

std::string JwtMaker::Token(const Json& claims, const Json& header) const {
  return TokenOf(claims.dump(), header);
}

std::string JwtMaker::TokenOf(const std::string& payload, const Json& header) const {
  Json whole = {{"alg", alg_}, {"typ", "JWT"}};
  if (header.is_object()) whole.merge_patch(header);
  const std::string input = absl::StrCat(Base64Url(whole.dump()), ".", Base64Url(payload));
  return absl::StrCat(input, ".", Base64Url(Sign(input)));
}

std::string JwtMaker::Sign(const std::string& input) const {
  const auto* data = reinterpret_cast<const unsigned char*>(input.data());
  if (key_ == nullptr) {
    unsigned char digest[32];
    unsigned int size = 0;
    Require(HMAC(EVP_sha256(), secret_.data(), static_cast<int>(secret_.size()), data, input.size(),
                 digest, &size) != nullptr);
    return std::string(reinterpret_cast<const char*>(digest), size);
  }
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  Require(EVP_DigestSignInit(context, nullptr, EVP_sha256(), nullptr, key_.get()) == 1);
  size_t size = 0;
  Require(EVP_DigestSign(context, nullptr, &size, data, input.size()) == 1);
  std::string signature(size, '\0');
  Require(EVP_DigestSign(context, reinterpret_cast<unsigned char*>(signature.data()), &size, data,
                         input.size()) == 1);
  EVP_MD_CTX_free(context);
  signature.resize(size);
  return alg_ == "ES256" ? SideBySide(signature) : signature;
}

}  // namespace aibackend::access
