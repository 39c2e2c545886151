// The keys that sign JWTs, as a file holds them, and the check of a signature.
//
// A key is bound to one algorithm by its type: RSA to RS256, P-256 to ES256, bytes to HS256. A
// token says which algorithm it wants, but only picks among the keys that are bound to it: no token
// makes a public key serve as a secret.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cjose/jwk.h"

namespace aibackend::access {

enum class JwtAlgorithm { kHs256, kRs256, kEs256 };

struct FreeJwk {
  void operator()(cjose_jwk_t* jwk) const { cjose_jwk_release(jwk); }
};

struct JwtKey {
  JwtAlgorithm algorithm;
  std::string kid;  // may be empty
  std::unique_ptr<cjose_jwk_t, FreeJwk> jwk;
};

enum class JwtKeyFormat { kPublicKeyPem, kSecret, kJwks };

// What one file holds. Never changes; its keys may check signatures from several threads.
struct JwtKeySet {
  std::vector<JwtKey> keys;
  bool by_kid = false;  // of a JWKS: a token's kid picks the key
};

// Reads what `content` holds; fails with FIELD_INVALID.
//   kPublicKeyPem  one public key: RSA of at least 2048 bits, or EC on P-256
//   kSecret        at least 32 bytes; a line's end after them is none of it
//   kJwks          a JSON object with `keys`, at most 64. Keys of other types, curves or
//   algorithms,
//                  or for other uses, are left out; what is left must be one at least.
absl::StatusOr<JwtKeySet> ReadJwtKeys(JwtKeyFormat format, const std::string& content);

// The payload of `token`, if a key of the set signed it. Fails with KEY_INVALID; the message says
// why, without a word of the token, and is for the log.
absl::StatusOr<std::string> VerifiedPayload(const JwtKeySet& keys, absl::string_view token);

}  // namespace aibackend::access
