#include "server/rpc/convert_access.h"

#include "server/base/status.h"
#include "server/rpc/convert.h"

namespace aibackend::rpc {
namespace {

constexpr int64_t kExpirySecondsMax = int64_t{100} * 366 * 24 * 3600;  // a century

constexpr int64_t kYear10000 =
    253'402'300'800;  // in seconds since 1970: the first that JSON can't say

// `name` of a request, absent unless `is_set`.
absl::StatusOr<absl::optional<absl::Time>> TimeIf(bool is_set,
                                                  const google::protobuf::Timestamp& time,
                                                  const char* name) {
  if (!is_set) return absl::nullopt;
  if (time.seconds() < 0 || time.seconds() >= kYear10000) {
    return MakeError(Reason::FIELD_OUT_OF_RANGE, "must be from 1970 to 9999", name);
  }
  return ToTime(time);
}

void FillWindow(const char* name, const access::QuotaState::Window& window,
                const absl::optional<int64_t>& tokens, const absl::optional<int64_t>& nano_usd,
                v1::Quota::Window* out) {
  out->set_window(name);
  FillTime(window.start, out->mutable_started_at());
  FillTime(window.end, out->mutable_ends_at());
  out->set_used_tokens(window.used.tokens);
  out->set_used_nano_usd(window.used.money.value);
  out->set_reserved_tokens(window.reserved.tokens);
  out->set_reserved_nano_usd(window.reserved.money.value);
  if (tokens) out->set_tokens_limit(*tokens);
  if (nano_usd) out->set_nano_usd_limit(*nano_usd);
}

}  // namespace

access::Limits ToLimits(const v1::Limits& limits) {
  access::Limits out;
  if (limits.has_requests_per_minute()) out.requests_per_minute = limits.requests_per_minute();
  if (limits.has_tokens_per_minute()) out.tokens_per_minute = limits.tokens_per_minute();
  if (limits.has_tokens_per_day()) out.tokens_per_day = limits.tokens_per_day();
  if (limits.has_tokens_per_month()) out.tokens_per_month = limits.tokens_per_month();
  if (limits.has_nano_usd_per_day()) out.nano_usd_per_day = limits.nano_usd_per_day();
  if (limits.has_nano_usd_per_month()) out.nano_usd_per_month = limits.nano_usd_per_month();
  if (limits.has_concurrent()) out.concurrent = limits.concurrent();
  return out;
}

void Fill(const access::Limits& limits, v1::Limits* out) {
  if (limits.requests_per_minute) out->set_requests_per_minute(*limits.requests_per_minute);
  if (limits.tokens_per_minute) out->set_tokens_per_minute(*limits.tokens_per_minute);
  if (limits.tokens_per_day) out->set_tokens_per_day(*limits.tokens_per_day);
  if (limits.tokens_per_month) out->set_tokens_per_month(*limits.tokens_per_month);
  if (limits.nano_usd_per_day) out->set_nano_usd_per_day(*limits.nano_usd_per_day);
  if (limits.nano_usd_per_month) out->set_nano_usd_per_month(*limits.nano_usd_per_month);
  if (limits.concurrent) out->set_concurrent(static_cast<int32_t>(*limits.concurrent));
}

absl::StatusOr<access::KeySpec> ToKeySpec(const v1::CreateKeyRequest& request, absl::Time now) {
  access::KeySpec spec;
  spec.name = request.name();
  spec.tenant = request.tenant_id();
  spec.user = request.user_id();
  spec.scopes.assign(request.scopes().begin(), request.scopes().end());
  spec.limits = ToLimits(request.limits());
  AIB_ASSIGN_OR_RETURN(spec.expires_at,
                       TimeIf(request.has_expires_at(), request.expires_at(), "expires_at"));
  if (!request.has_expires_in_seconds()) return spec;
  if (spec.expires_at) {
    return MakeError(Reason::FIELD_INVALID, "expires_at is given too; one of them is enough",
                     "expires_in_seconds");
  }
  if (request.expires_in_seconds() < 1 || request.expires_in_seconds() > kExpirySecondsMax) {
    return MakeError(Reason::FIELD_OUT_OF_RANGE, "must be from 1 to a century's seconds",
                     "expires_in_seconds");
  }
  spec.expires_at = now + absl::Seconds(request.expires_in_seconds());
  return spec;
}

absl::StatusOr<access::KeyChange> ToKeyChange(const v1::UpdateKeyRequest& request) {
  access::KeyChange change;
  if (request.has_name()) change.name = request.name();
  if (request.has_limits()) change.limits = ToLimits(request.limits());
  AIB_ASSIGN_OR_RETURN(change.expires_at,
                       TimeIf(request.has_expires_at(), request.expires_at(), "expires_at"));
  return change;
}

void Fill(const access::KeyInfo& key, v1::ApiKey* out) {
  out->set_id(key.id);
  out->set_name(key.name);
  out->set_prefix(key.prefix);
  out->set_tenant_id(key.tenant);
  out->set_user_id(key.user);
  for (const access::Scope scope :
       {access::Scope::kChat, access::Scope::kEmbed, access::Scope::kDocumentsRead,
        access::Scope::kDocumentsWrite, access::Scope::kJobs, access::Scope::kUsage,
        access::Scope::kAdmin}) {
    if (key.scopes.Has(scope)) out->add_scopes(access::ScopeName(scope));
  }
  Fill(key.limits, out->mutable_limits());
  FillTime(key.created_at, out->mutable_created_at());
  if (key.expires_at) FillTime(*key.expires_at, out->mutable_expires_at());
  if (key.revoked_at) FillTime(*key.revoked_at, out->mutable_revoked_at());
  out->set_replaced_by(key.replaced_by);
}

void Fill(const access::NewKey& key, v1::CreateKeyResponse* out) {
  out->set_id(key.info.id);
  out->set_key(key.key);
  Fill(key.info, out->mutable_info());
}

void Fill(const access::QuotaState& state, v1::Quota* out) {
  Fill(state.limits, out->mutable_limits());
  FillWindow("day", state.day, state.limits.tokens_per_day, state.limits.nano_usd_per_day,
             out->add_windows());
  FillWindow("month", state.month, state.limits.tokens_per_month, state.limits.nano_usd_per_month,
             out->add_windows());
  out->set_concurrent(static_cast<int32_t>(state.concurrent));
}

}  // namespace aibackend::rpc
