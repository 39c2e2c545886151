#include "server/rpc/convert_usage.h"

#include "absl/strings/str_cat.h"
#include "server/rpc/convert_chat.h"

namespace aibackend::rpc {
namespace {

void Fill(const usage::Percentiles& percentiles, v1::UsageSummary::Percentiles* out) {
  out->set_p50_ms(percentiles.p50_ms);
  out->set_p95_ms(percentiles.p95_ms);
  out->set_p99_ms(percentiles.p99_ms);
}

void Fill(const usage::SummaryGroup& group, v1::UsageSummary::Group* out) {
  if (group.day) out->set_day(*group.day);
  if (group.tenant) out->set_tenant_id(*group.tenant);
  if (group.model) out->set_model(*group.model);
  if (group.user_id) out->set_user_id(*group.user_id);
  if (group.key_id) out->set_key_id(*group.key_id);
  if (group.endpoint) out->set_endpoint(*group.endpoint);
  out->set_requests(group.requests);
  out->set_errors(group.errors);
  out->set_cancelled(group.cancelled);
  out->set_prompt_tokens(group.prompt_tokens);
  out->set_completion_tokens(group.completion_tokens);
  out->set_total_tokens(group.total_tokens());
  out->set_cached_tokens(group.cached_tokens);
  out->set_reasoning_tokens(group.reasoning_tokens);
  out->set_estimated_cost(ToUsd(group.cost));
  out->set_cost_nano_usd(group.cost.value);
  out->set_price_unknown_requests(group.price_unknown_requests);
  Fill(group.latency, out->mutable_latency());
  Fill(group.time_to_first_token, out->mutable_time_to_first_token());
}

}  // namespace

void Fill(const usage::RequestRow& row, v1::RequestLog* out) {
  out->set_request_id(row.request_id.value);
  FillTime(row.created_at, out->mutable_created_at());
  out->set_endpoint(row.endpoint);
  out->set_user_id(row.user_id);
  out->set_model(row.model);
  out->set_status(
      static_cast<v1::RequestLog::Status>(static_cast<int>(row.status) + v1::RequestLog::RUNNING));
  out->set_prompt(row.prompt);
  out->set_response(row.response);
  out->set_prompt_tokens(row.prompt_tokens);
  out->set_completion_tokens(row.completion_tokens);
  out->set_total_tokens(row.prompt_tokens + row.completion_tokens);
  out->set_usage_estimated(row.usage_estimated);
  FillCost(row.cost, row.price_unknown, out);
  out->set_response_time_ms(row.response_time_ms);
  out->set_ttft_ms(row.ttft_ms);
  out->set_error_reason(row.error_reason);
  out->set_prompt_bytes(row.prompt_bytes);
  out->set_response_bytes(row.response_bytes);
  out->set_cached_tokens(row.cached_tokens);
  out->set_reasoning_tokens(row.reasoning_tokens);
  out->set_upstream_calls(row.upstream_calls);
  out->set_replay_of(row.replay_of);
  out->set_tenant_id(row.tenant);
  out->set_key_id(row.key_id);
  out->set_price_version(row.price_version);
  out->set_cache(row.cache);
  out->set_guardrails(row.guardrails);
  out->set_shadow_limit(row.shadow_limit);
  out->set_trace_id(row.trace_id);
  out->set_row_id(row.row_id);
}

void Fill(const usage::UsageSummary& summary, v1::UsageSummary* out) {
  for (const usage::SummaryGroup& group : summary.groups) Fill(group, out->add_groups());
  Fill(summary.total, out->mutable_total());
  out->set_left_out(static_cast<int32_t>(summary.left_out));
}

absl::StatusOr<usage::RequestStatus> RequestStatusOf(const std::string& name) {
  for (const usage::RequestStatus status :
       {usage::RequestStatus::kRunning, usage::RequestStatus::kOk, usage::RequestStatus::kError,
        usage::RequestStatus::kCancelled}) {
    if (name == usage::RequestStatusName(status)) return status;
  }
  return MakeError(Reason::FIELD_INVALID, "must be OK, ERROR, CANCELLED or RUNNING", "status");
}

absl::StatusOr<usage::SummaryQuery> ToSummaryQuery(const v1::SummarizeUsageRequest& request,
                                                   const Call& call) {
  usage::SummaryQuery query;
  for (const std::string& name : request.group_by()) {
    const auto dimension = usage::DimensionOf(name);
    if (!dimension) {
      return MakeError(Reason::FIELD_INVALID,
                       "must hold some of day, tenant, model, user, key, endpoint", "group_by");
    }
    query.group_by.push_back(*dimension);
  }
  const auto set_if = [](const std::string& text, absl::optional<std::string>& field) {
    if (!text.empty()) field = text;
  };
  if (request.has_from()) query.from = ToTime(request.from());
  if (request.has_to()) query.to = ToTime(request.to());
  set_if(request.tenant_id(), query.tenant);
  set_if(request.user_id(), query.user_id);
  set_if(request.key_id(), query.key_id);
  set_if(request.model(), query.model);
  set_if(request.endpoint(), query.endpoint);
  AIB_RETURN_IF_ERROR(KeepToOwn(call, query));
  return query;
}

}  // namespace aibackend::rpc
