#include "server/access/gatekeeper.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "server/base/status.h"

namespace aibackend::access {
namespace {

constexpr absl::string_view kBearer = "bearer";

// The key of "Bearer <key>"; of another scheme what stands there, which is no key.
absl::string_view KeyOf(absl::string_view authorization) {
  authorization = absl::StripAsciiWhitespace(authorization);
  if (!absl::StartsWithIgnoreCase(authorization, kBearer)) return authorization;
  const absl::string_view key = authorization.substr(kBearer.size());
  const bool is_scheme = key.empty() || absl::ascii_isspace(static_cast<unsigned char>(key[0]));
  return is_scheme ? absl::StripAsciiWhitespace(key) : authorization;
}

}  // namespace

Gatekeeper::Gatekeeper(absl::string_view key) {
  if (!key.empty()) digest_ = DigestOf(key);
}

Gatekeeper::Digest Gatekeeper::DigestOf(absl::string_view key) {
  Digest digest;
  SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), digest.data());
  return digest;
}

absl::Status Gatekeeper::Admit(const Credentials& credentials) const {
  if (!digest_) return absl::OkStatus();
  const absl::string_view keys[] = {KeyOf(credentials.authorization), credentials.api_key};
  bool any = false;
  bool all_right = true;
  for (const absl::string_view key : keys) {
    if (key.empty()) continue;
    any = true;
    const Digest digest = DigestOf(key);
    all_right &= CRYPTO_memcmp(digest.data(), digest_->data(), digest.size()) == 0;
  }
  if (!any) {
    return MakeError(Reason::KEY_REQUIRED,
                     "this server asks for a key: authorization: Bearer <key>, or x-api-key");
  }
  return all_right ? absl::OkStatus() : MakeError(Reason::KEY_INVALID, "the key is not valid");
}

}  // namespace aibackend::access
