// The contract's messages of the ledger ↔ the types of usage/.
#pragma once

#include "absl/status/statusor.h"
#include "aibackend/v1/usage.pb.h"
#include "server/rpc/call.h"
#include "server/rpc/convert.h"
#include "server/usage/ledger.h"
#include "server/usage/summary.h"
#include "server/usage/usage_filter.h"

namespace aibackend::rpc {

void Fill(const usage::RequestRow& row, v1::RequestLog* out);
void Fill(const usage::UsageSummary& summary, v1::UsageSummary* out);

// Errors: FIELD_INVALID (status).
absl::StatusOr<usage::RequestStatus> RequestStatusOf(const std::string& name);

// Of a filter's fields those that the caller may choose, and the rest as it must be: an
// administrator sees all rows, the scope "usage" its tenant's, anybody else its own (those of its
// key, or where it has none of its user). Errors: SCOPE_MISSING where others' are asked for.
template <class Filter>
absl::Status KeepToOwn(const Call& call, Filter& filter) {
  if (call.May(access::Scope::kAdmin)) return absl::OkStatus();
  const access::Principal& caller = call.principal();
  const auto keep = [](absl::optional<std::string>& asked, const std::string& own) {
    if (asked && *asked != own) return false;
    asked = own;
    return true;
  };
  bool is_own = keep(filter.tenant, caller.tenant);
  if (!call.May(access::Scope::kUsage)) {
    is_own = is_own && keep(filter.key_id, caller.key_id);
    if (caller.key_id.empty()) is_own = is_own && keep(filter.user_id, caller.user);
  }
  if (is_own) return absl::OkStatus();
  return MakeError(Reason::SCOPE_MISSING, "this key may not see what others have used");
}

// The fields that ListUsageRequest and ExportUsageRequest have in common. Errors: those above.
template <class Request>
absl::StatusOr<usage::UsageFilter> ToFilter(const Request& request, const Call& call) {
  usage::UsageFilter filter;
  const auto set_if = [](const std::string& text, absl::optional<std::string>& field) {
    if (!text.empty()) field = text;
  };
  if (request.has_from()) filter.from = ToTime(request.from());
  if (request.has_to()) filter.to = ToTime(request.to());
  set_if(request.tenant_id(), filter.tenant);
  set_if(request.user_id(), filter.user_id);
  set_if(request.key_id(), filter.key_id);
  set_if(request.model(), filter.model);
  set_if(request.endpoint(), filter.endpoint);
  if (!request.status().empty()) {
    AIB_ASSIGN_OR_RETURN(filter.status, RequestStatusOf(request.status()));
  }
  AIB_RETURN_IF_ERROR(KeepToOwn(call, filter));
  return filter;
}

// Errors: FIELD_INVALID (group_by); those of KeepToOwn.
absl::StatusOr<usage::SummaryQuery> ToSummaryQuery(const v1::SummarizeUsageRequest& request,
                                                   const Call& call);

}  // namespace aibackend::rpc
