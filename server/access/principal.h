// Who calls, and what a caller may do.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace aibackend::access {

// What a method asks of a key. The names are the contract's (annotations.proto): "chat", "embed",
// "documents.read", "documents.write", "jobs", "usage", "admin"; "any" is asked by methods that
// every valid key may call.
enum class Scope : uint8_t {
  kAny,
  kChat,
  kEmbed,
  kDocumentsRead,
  kDocumentsWrite,
  kJobs,
  kUsage,
  kAdmin,
};

const char* ScopeName(Scope scope);
absl::optional<Scope> ScopeOf(absl::string_view name);

class ScopeSet {
 public:
  ScopeSet() = default;
  void Add(Scope scope) { bits_ |= 1u << static_cast<unsigned>(scope); }
  bool Has(Scope scope) const { return (bits_ >> static_cast<unsigned>(scope) & 1u) != 0; }
  bool empty() const { return bits_ == 0; }
  friend bool operator==(ScopeSet a, ScopeSet b) { return a.bits_ == b.bits_; }

 private:
  uint32_t bits_ = 0;
};

// How much a subject may; what is absent is not limited. Days and months are UTC's.
struct Limits {
  absl::optional<int64_t> requests_per_minute;
  absl::optional<int64_t> tokens_per_minute;
  absl::optional<int64_t> tokens_per_day;
  absl::optional<int64_t> tokens_per_month;
  absl::optional<int64_t> nano_usd_per_day;
  absl::optional<int64_t> nano_usd_per_month;
  absl::optional<int64_t> concurrent;

  bool empty() const;
  bool has_money() const { return nano_usd_per_day || nano_usd_per_month; }
  friend bool operator==(const Limits& a, const Limits& b);
};

struct Principal {
  std::string tenant = "default";
  std::string user;    // whom it speaks for; empty: the request says so itself
  std::string key_id;  // of an API key; empty for a JWT, the admin key, and who brought none
  // Empty: all of its tenant, and of the usage log its own rows. With kAdmin: everything.
  ScopeSet scopes;
  std::shared_ptr<const Limits> limits;  // the key's own; null: none

  bool is_admin() const { return scopes.Has(Scope::kAdmin); }
  bool May(Scope scope) const {
    return scope == Scope::kAny || is_admin() || scopes.Has(scope) ||
           (scopes.empty() && scope != Scope::kAdmin && scope != Scope::kUsage);
  }
};

}  // namespace aibackend::access
