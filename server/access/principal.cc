#include "server/access/principal.h"

#include <tuple>

namespace aibackend::access {
namespace {

struct ScopeRow {
  Scope scope;
  const char* name;
};

constexpr ScopeRow kScopes[] = {{Scope::kAny, "any"},
                                {Scope::kChat, "chat"},
                                {Scope::kEmbed, "embed"},
                                {Scope::kDocumentsRead, "documents.read"},
                                {Scope::kDocumentsWrite, "documents.write"},
                                {Scope::kJobs, "jobs"},
                                {Scope::kUsage, "usage"},
                                {Scope::kAdmin, "admin"}};

auto AllOf(const Limits& limits) {
  return std::tie(limits.requests_per_minute, limits.tokens_per_minute, limits.tokens_per_day,
                  limits.tokens_per_month, limits.nano_usd_per_day, limits.nano_usd_per_month,
                  limits.concurrent);
}

}  // namespace

const char* ScopeName(Scope scope) {
  for (const ScopeRow& row : kScopes) {
    if (row.scope == scope) return row.name;
  }
  return "unknown";
}

absl::optional<Scope> ScopeOf(absl::string_view name) {
  for (const ScopeRow& row : kScopes) {
    if (name == row.name) return row.scope;
  }
  return absl::nullopt;
}

bool operator==(const Limits& a, const Limits& b) {
  return AllOf(a) == AllOf(b);
}

bool Limits::empty() const {
  return *this == Limits();
}

}  // namespace aibackend::access
