#include "server/access/authenticator.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "server/access/jwt_verifier.h"
#include "server/access/key_store.h"
#include "server/base/status.h"
#include "server/base/text.h"
#include "spdlog/spdlog.h"

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

std::shared_ptr<const Principal> Admin() {
  Principal admin;
  admin.scopes.Add(Scope::kAdmin);
  return std::make_shared<const Principal>(std::move(admin));
}

absl::optional<Digest> DigestOfKey(absl::string_view key) {
  if (key.empty()) return absl::nullopt;
  return DigestOf(key);
}

}  // namespace

Authenticator::Authenticator(absl::string_view admin_key, const KeyStore* keys, JwtVerifier* tokens)
    : admin_key_(DigestOfKey(admin_key)), admin_(Admin()), keys_(keys), tokens_(tokens) {}

absl::StatusOr<std::shared_ptr<const Principal>> Authenticator::Authenticate(
    const Credentials& credentials, bool required) const {
  const absl::string_view first = KeyOf(credentials.authorization);
  const absl::string_view second = credentials.api_key == first ? "" : credentials.api_key;
  std::shared_ptr<const Principal> caller;
  for (const absl::string_view text : {first, second}) {
    if (text.empty()) continue;
    const Digest digest = DigestOf(text);
    const Kind kind = KindOf(text, digest);
    if (kind == Kind::kOther && !required) continue;
    std::shared_ptr<const Principal> principal = PrincipalOf(text, digest, kind);
    if (principal == nullptr) return MakeError(Reason::KEY_INVALID, "the key is not valid");
    if (caller == nullptr) caller = std::move(principal);
  }
  if (caller != nullptr) return caller;
  if (!required) return admin_;
  return MakeError(Reason::KEY_REQUIRED,
                   "this server asks for a key: authorization: Bearer <key>, or x-api-key");
}

Authenticator::Kind Authenticator::KindOf(absl::string_view text, const Digest& digest) const {
  if (admin_key_ && SameDigest(digest, *admin_key_)) return Kind::kAdminKey;
  if (LooksLikeKey(text)) return Kind::kKey;
  if (tokens_ != nullptr && JwtVerifier::LooksLikeToken(text)) return Kind::kToken;
  return Kind::kOther;
}

std::shared_ptr<const Principal> Authenticator::PrincipalOf(absl::string_view text,
                                                            const Digest& digest, Kind kind) const {
  switch (kind) {
    case Kind::kAdminKey:
      return admin_;
    case Kind::kKey:
      return keys_ == nullptr ? nullptr : keys_->Find(digest);
    case Kind::kToken: {
      auto principal = tokens_->Verify(text);
      if (principal.ok()) return *std::move(principal);
      spdlog::debug("access: a token was refused: {}", ToStd(principal.status().message()));
      return nullptr;
    }
    case Kind::kOther:
      break;
  }
  return nullptr;
}

}  // namespace aibackend::access
