// Tokens (JWT) that another party signs: checks them, and says for whom they speak.
#pragma once

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/access/jwt_claims.h"
#include "server/access/jwt_keys.h"
#include "server/access/principal.h"
#include "server/base/clock.h"

namespace aibackend::access {

// HS256, RS256 and ES256 (jwt_keys.h), with the keys of one file; then the claims (jwt_claims.h).
//
// Thread-safe. A token that was right is remembered until it expires or the keys change, so that
// its signature is checked once. One call a second looks whether the file changed and reads it
// again; where it can't be read the keys stay as they were, with a warning in the log.
class JwtVerifier {
 public:
  struct Options {
    JwtKeyFormat format = JwtKeyFormat::kJwks;
    std::string key_file;
    JwtRules rules;
    size_t remembered_max = 10'000;  // tokens, about 400 bytes each; those used last stay
  };

  // Reads the keys. Fails with FIELD_INVALID where the file holds none; the message names it.
  // `clock` outlives it.
  static absl::StatusOr<std::unique_ptr<JwtVerifier>> Open(Clock& clock, Options options);
  ~JwtVerifier();

  // The shape of a token: "ey" (how a JSON object begins in base64url) and two dots.
  static bool LooksLikeToken(absl::string_view text);

  // Fails with KEY_INVALID; the message says why, without a word of the token, and is for the log.
  absl::StatusOr<std::shared_ptr<const Principal>> Verify(absl::string_view token);

  // How many signatures were checked: what is remembered needs none.
  int64_t checks() const;

 private:
  struct Trust;  // the keys, and the tokens that they were found to have signed

  JwtVerifier(Clock& clock, Options options, std::shared_ptr<Trust> trust);

  std::shared_ptr<Trust> CurrentTrust(absl::Time now);
  void LookAtFile(const Trust& current) ABSL_EXCLUSIVE_LOCKS_REQUIRED(file_mutex_);

  Clock& clock_;
  const Options options_;

  absl::Mutex file_mutex_;  // taken before mutex_, by who looks at the file
  bool is_warned_ ABSL_GUARDED_BY(file_mutex_) = false;

  mutable absl::Mutex mutex_;
  std::shared_ptr<Trust> trust_ ABSL_GUARDED_BY(mutex_);
  absl::Time look_at_ ABSL_GUARDED_BY(mutex_);
  int64_t checks_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace aibackend::access
