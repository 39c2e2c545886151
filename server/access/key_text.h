// The text of an API key, and the words that keys and tokens share: tenants, users, scopes.
//
// A key is "aib_" and 43 characters: 32 random bytes as base64url. It is told once; the server
// keeps its SHA-256.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/access/principal.h"

namespace aibackend::access {

using Digest = std::array<unsigned char, 32>;  // SHA-256

inline constexpr absl::string_view kKeyPrefix = "aib_";
inline constexpr size_t kShownBytes = 12;  // of a key: 8 of its characters tell keys apart

// Fails with INTERNAL where the system has no randomness.
absl::StatusOr<std::string> MakeKeyText();

// True of what wants to be a key of ours, right or wrong.
bool LooksLikeKey(absl::string_view text);

Digest DigestOf(absl::string_view text);
// In constant time.
bool SameDigest(const Digest& a, const Digest& b);

// 1 to 64 of letters, digits, _ . and -.
bool IsTenantName(absl::string_view text);

inline constexpr size_t kUserBytesMax = 256;

// The scopes among `words`, the others ignored. Where none is known the set holds kAny alone: who
// was given only what we don't know may do nothing, and not everything.
ScopeSet ScopesOf(const std::vector<std::string>& words);
// The contract's names, in its order. ScopesOf() of them is the same set, unless it is empty.
std::vector<std::string> ScopeNames(ScopeSet scopes);

}  // namespace aibackend::access
