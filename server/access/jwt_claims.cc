#include "server/access/jwt_claims.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "nlohmann/json.hpp"
#include "server/access/key_text.h"
#include "server/base/status.h"

namespace aibackend::access {
namespace {

using Json = nlohmann::json;

constexpr absl::string_view kBlanks = " \t\r\n";

absl::Status Refused(absl::string_view why) {
  return MakeError(Reason::KEY_INVALID, why);
}

const Json* Find(const Json& claims, const std::string& name) {
  const auto found = claims.find(name);
  return found == claims.end() ? nullptr : &*found;
}

// Seconds since 1970, which may have a fraction (RFC 7519, 2).
absl::StatusOr<absl::optional<absl::Time>> TimeAt(const Json& claims, const char* name) {
  const Json* value = Find(claims, name);
  if (value == nullptr) return absl::optional<absl::Time>();
  if (!value->is_number()) return Refused(absl::StrCat("its `", name, "` is no number"));
  return absl::optional<absl::Time>(absl::UnixEpoch() + absl::Seconds(value->get<double>()));
}

absl::Status CheckStart(const Json& claims, const char* name, const JwtRules& rules,
                        absl::Time now) {
  AIB_ASSIGN_OR_RETURN(const absl::optional<absl::Time> at, TimeAt(claims, name));
  if (!at || *at <= now + rules.skew) return absl::OkStatus();
  return Refused(absl::StrCat("its `", name, "` is in the future"));
}

absl::StatusOr<absl::Time> CheckTimes(const Json& claims, const JwtRules& rules, absl::Time now) {
  AIB_ASSIGN_OR_RETURN(const absl::optional<absl::Time> expires_at, TimeAt(claims, "exp"));
  if (!expires_at) return Refused("it has no `exp`");
  if (*expires_at <= now) return Refused("it is expired");
  AIB_RETURN_IF_ERROR(CheckStart(claims, "nbf", rules, now));
  AIB_RETURN_IF_ERROR(CheckStart(claims, "iat", rules, now));
  return *expires_at;
}

absl::Status CheckParties(const Json& claims, const JwtRules& rules) {
  if (!rules.issuer.empty()) {
    const Json* iss = Find(claims, "iss");
    if (iss == nullptr || *iss != rules.issuer) return Refused("its issuer is another");
  }
  if (!rules.audience.empty()) {
    const Json* aud = Find(claims, "aud");
    const bool is_for_us =
        aud != nullptr &&
        (aud->is_array() ? std::find(aud->begin(), aud->end(), rules.audience) != aud->end()
                         : *aud == rules.audience);
    if (!is_for_us) return Refused("its audience is another");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> WordsOf(const Json& scope) {
  if (scope.is_string()) {
    return std::vector<std::string>(
        absl::StrSplit(scope.get<std::string>(), absl::ByAnyChar(kBlanks), absl::SkipEmpty()));
  }
  if (!scope.is_array()) return Refused("its scopes are neither a text nor an array");
  std::vector<std::string> words;
  for (const Json& word : scope) {
    if (!word.is_string()) return Refused("one of its scopes is no text");
    words.push_back(word.get<std::string>());
  }
  return words;
}

absl::StatusOr<Principal> ReadPrincipal(const Json& claims, const JwtRules& rules) {
  Principal principal;
  if (const Json* tenant = Find(claims, rules.tenant_claim)) {
    if (!tenant->is_string() || !IsTenantName(tenant->get<std::string>())) {
      return Refused("its tenant is no tenant's name");
    }
    principal.tenant = tenant->get<std::string>();
  }
  if (const Json* user = Find(claims, rules.user_claim)) {
    if (!user->is_string() || user->get<std::string>().size() > kUserBytesMax) {
      return Refused(absl::StrCat("its user is no text of at most ", kUserBytesMax, " bytes"));
    }
    principal.user = user->get<std::string>();
  }
  if (const Json* scope = Find(claims, rules.scope_claim)) {
    AIB_ASSIGN_OR_RETURN(const std::vector<std::string> words, WordsOf(*scope));
    principal.scopes = ScopesOf(words);
  }
  return principal;
}

}  // namespace

absl::StatusOr<JwtSubject> ReadClaims(const std::string& payload, const JwtRules& rules,
                                      absl::Time now) {
  const Json claims = Json::parse(payload, nullptr, /*allow_exceptions=*/false);
  if (!claims.is_object()) return Refused("its claims are no JSON object");
  AIB_ASSIGN_OR_RETURN(const absl::Time expires_at, CheckTimes(claims, rules, now));
  AIB_RETURN_IF_ERROR(CheckParties(claims, rules));
  AIB_ASSIGN_OR_RETURN(Principal principal, ReadPrincipal(claims, rules));
  return JwtSubject{std::make_shared<const Principal>(std::move(principal)), expires_at};
}

}  // namespace aibackend::access
