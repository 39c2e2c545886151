// What the claims of a token say, once its signature is known to be right.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/access/principal.h"

namespace aibackend::access {

struct JwtRules {
  // Empty: not asked for.
  std::string issuer;
  std::string audience;
  // Names of claims.
  std::string tenant_claim = "tenant";
  std::string user_claim = "sub";
  std::string scope_claim = "scope";
  // How far the issuer's clock may be ahead of ours (nbf, iat). A token ends by our clock.
  absl::Duration skew = absl::Seconds(30);
};

struct JwtSubject {
  std::shared_ptr<const Principal> principal;
  absl::Time expires_at;
};

// For whom a token with this payload speaks: its tenant ("default" where it names none), its user
// (empty where it names none), its scopes: a text with blanks, or an array. Without a scope claim
// those are empty, which is all of its tenant; one that names none of ours gives nothing.
//
// `exp` is required; nbf, iat, iss and aud are checked as the rules say. Fails with KEY_INVALID;
// the message says why, without a word of the token, and is for the log.
absl::StatusOr<JwtSubject> ReadClaims(const std::string& payload, const JwtRules& rules,
                                      absl::Time now);

}  // namespace aibackend::access
