// Who calls: what a call brought along, made a Principal.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "server/access/key_text.h"
#include "server/access/principal.h"

namespace aibackend::access {

class JwtVerifier;
class KeyStore;

// What a call brought to say who it is; both may be empty.
struct Credentials {
  absl::string_view authorization;  // "Bearer <key>"
  absl::string_view api_key;        // of x-api-key
};

// Thread-safe. Never waits for the database.
class Authenticator {
 public:
  // `admin_key` empty: there is none; of it the SHA-256 is kept. `keys` and `tokens` may be null:
  // nobody has such a credential. They outlive it.
  Authenticator(absl::string_view admin_key, const KeyStore* keys, JwtVerifier* tokens);

  // A credential is the admin key, a key of the store ("aib_…"), or a token where tokens are known.
  //
  // `required`: KEY_REQUIRED without one, and KEY_INVALID for whatever isn't right, with the same
  // message for all causes.
  // Not `required` (an open server): who brings none, or a text that is no credential of ours (SDKs
  // send "none"), may do everything in the tenant "default" and is its admin. A credential of ours
  // is honoured, and refused with KEY_INVALID if it is wrong.
  //
  // Of two that differ both must be right: who brings a wrong one is told, whichever way it came.
  // The call is then that of `authorization`.
  absl::StatusOr<std::shared_ptr<const Principal>> Authenticate(const Credentials& credentials,
                                                                bool required) const;

 private:
  enum class Kind { kAdminKey, kKey, kToken, kOther };

  Kind KindOf(absl::string_view text, const Digest& digest) const;
  // Null: it is wrong.
  std::shared_ptr<const Principal> PrincipalOf(absl::string_view text, const Digest& digest,
                                               Kind kind) const;

  const absl::optional<Digest> admin_key_;
  const std::shared_ptr<const Principal> admin_;
  const KeyStore* const keys_;
  JwtVerifier* const tokens_;
};

}  // namespace aibackend::access
