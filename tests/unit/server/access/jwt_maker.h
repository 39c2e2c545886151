// Makes JWTs with OpenSSL alone, so that what checks them has no part in it.
#pragma once

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

struct evp_pkey_st;

namespace aibackend::access {

class JwtMaker {
 public:
  static JwtMaker Rsa(int bits = 2048);
  static JwtMaker Ec(const char* curve = "P-256");
  static JwtMaker Secret(const std::string& secret);

  // "RS256", "ES256", "HS256".
  const std::string& alg() const { return alg_; }
  std::string PublicPem() const;
  std::string PrivatePem() const;
  nlohmann::json Jwk(const std::string& kid = "") const;

  // With the header {"alg": alg(), "typ": "JWT"}, changed by `header` (null removes).
  std::string Token(const nlohmann::json& claims, const nlohmann::json& header = {}) const;
  // The same of a payload that need not be JSON.
  std::string TokenOf(const std::string& payload, const nlohmann::json& header = {}) const;

 private:
  std::string Sign(const std::string& input) const;

  std::string alg_;
  std::string secret_;
  std::shared_ptr<evp_pkey_st> key_;
};

std::string Base64Url(absl::string_view bytes);

}  // namespace aibackend::access
