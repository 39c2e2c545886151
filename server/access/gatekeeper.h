// Who may call.
#pragma once

#include <array>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace aibackend::access {

// What a call brought to say who it is; both may be empty.
struct Credentials {
  absl::string_view authorization;  // "Bearer <key>"
  absl::string_view api_key;        // of x-api-key
};

// Thread-safe. Keeps the key's SHA-256 only, and compares in constant time.
class Gatekeeper {
 public:
  // `key` empty: everybody may call.
  explicit Gatekeeper(absl::string_view key);

  // OK, KEY_REQUIRED (none was brought) or KEY_INVALID. Of two that differ both must be right: who
  // brings a wrong key is told, whichever way it came.
  absl::Status Admit(const Credentials& credentials) const;

 private:
  using Digest = std::array<unsigned char, 32>;
  static Digest DigestOf(absl::string_view key);

  absl::optional<Digest> digest_;
};

}  // namespace aibackend::access
