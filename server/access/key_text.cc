#include "server/access/key_text.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/status.h"

namespace aibackend::access {
namespace {

constexpr size_t kRandomBytes = 32;
constexpr size_t kTenantBytesMax = 64;

}  // namespace

absl::StatusOr<std::string> MakeKeyText() {
  std::array<unsigned char, kRandomBytes> secret;
  if (RAND_bytes(secret.data(), static_cast<int>(secret.size())) != 1) {
    return MakeError(Reason::INTERNAL, "the system gives no random bytes for a key");
  }
  const absl::string_view bytes(reinterpret_cast<const char*>(secret.data()), secret.size());
  std::string key = absl::StrCat(kKeyPrefix, absl::WebSafeBase64Escape(bytes));
  OPENSSL_cleanse(secret.data(), secret.size());
  return key;
}

bool LooksLikeKey(absl::string_view text) {
  return absl::StartsWith(text, kKeyPrefix);
}

Digest DigestOf(absl::string_view text) {
  Digest digest;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return digest;
}

bool SameDigest(const Digest& a, const Digest& b) {
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

bool IsTenantName(absl::string_view text) {
  return !text.empty() && text.size() <= kTenantBytesMax &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' ||
                  c == '-';
         });
}

ScopeSet ScopesOf(const std::vector<std::string>& words) {
  ScopeSet scopes;
  for (const std::string& word : words) {
    if (const auto scope = ScopeOf(word)) scopes.Add(*scope);
  }
  if (scopes.empty()) scopes.Add(Scope::kAny);
  return scopes;
}

std::vector<std::string> ScopeNames(ScopeSet scopes) {
  std::vector<std::string> names;
  for (const Scope scope : {Scope::kAny, Scope::kChat, Scope::kEmbed, Scope::kDocumentsRead,
                            Scope::kDocumentsWrite, Scope::kJobs, Scope::kUsage, Scope::kAdmin}) {
    if (scopes.Has(scope)) names.emplace_back(ScopeName(scope));
  }
  return names;
}

}  // namespace aibackend::access
