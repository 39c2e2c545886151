#include "server/tasks/analyze_usage_job.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/base/status.h"
#include "server/tasks/job_params.h"

namespace aibackend::tasks {
namespace {

using jobs::Json;
using usage::UsageTotal;

constexpr int64_t kDaysDefault = 30;
constexpr int64_t kDaysMax = 3650;

struct AnalyzeParams {
  int64_t days = kDaysDefault;
  std::string tenant;  // empty: all
};

absl::StatusOr<AnalyzeParams> ParseParams(const Json& json) {
  AnalyzeParams params;
  if (json.is_null()) return params;
  AIB_RETURN_IF_ERROR(CheckKeys(json, "params", {"days", "tenant"}));
  AIB_ASSIGN_OR_RETURN(const auto days, ReadWhole(json, "params", "days", 1, kDaysMax));
  params.days = days.value_or(kDaysDefault);
  AIB_RETURN_IF_ERROR(ReadText(json, "params", "tenant", params.tenant));
  return params;
}

struct Sum {
  int64_t requests = 0;
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;
  NanoUsd cost;

  void Add(const UsageTotal& total) {
    requests += total.requests;
    prompt_tokens += total.prompt_tokens;
    completion_tokens += total.completion_tokens;
    cost = cost + total.cost;
  }
};

using Sums = std::map<std::string, Sum>;

// To a hundredth; 0 of nothing.
double Percent(int64_t part, int64_t whole) {
  if (whole == 0) return 0;
  return std::round(1e4 * static_cast<double>(part) / static_cast<double>(whole)) / 100;
}

Json ToJson(const Sum& sum, const Sum& overall) {
  return {{"requests", sum.requests},
          {"requests_percent", Percent(sum.requests, overall.requests)},
          {"prompt_tokens", sum.prompt_tokens},
          {"completion_tokens", sum.completion_tokens},
          {"total_tokens", sum.prompt_tokens + sum.completion_tokens},
          {"cost_nano_usd", sum.cost.value},
          {"estimated_cost", ToUsd(sum.cost)},
          {"cost_percent", Percent(sum.cost.value, overall.cost.value)}};
}

Json ToList(const Sums& sums, const char* key, const Sum& overall) {
  std::vector<Sums::const_pointer> ordered;
  for (const auto& each : sums) ordered.push_back(&each);
  std::stable_sort(ordered.begin(), ordered.end(), [](const auto* a, const auto* b) {
    return a->second.requests > b->second.requests;
  });
  ordered.resize(std::min(ordered.size(), AnalyzeUsageJob::kListMax));
  Json list = Json::array();
  for (const auto* each : ordered) {
    Json element = ToJson(each->second, overall);
    element[key] = each->first;
    list.push_back(std::move(element));
  }
  return list;
}

}  // namespace

absl::Status AnalyzeUsageJob::Validate(const Json& params) const {
  return ParseParams(params).status();
}

absl::StatusOr<Json> AnalyzeUsageJob::Run(const Json& json, jobs::JobContext& context) {
  AIB_ASSIGN_OR_RETURN(const AnalyzeParams params, ParseParams(json));
  const absl::Time to = clock_.Now();
  const absl::Time from = to - params.days * absl::Hours(24);
  absl::optional<std::string> tenant;
  if (!params.tenant.empty()) tenant = params.tenant;
  context.ReportProgress(0, 2, "adding up the rows");
  AIB_ASSIGN_OR_RETURN(const std::vector<UsageTotal> totals, ledger_.Totals(from, to, tenant));
  AIB_RETURN_IF_ERROR(context.CheckAlive());
  context.ReportProgress(1, 2, "writing the report");

  Sum overall;
  Sums by_model, by_status, by_user;
  for (const UsageTotal& total : totals) {
    overall.Add(total);
    by_model[total.model].Add(total);
    by_status[usage::RequestStatusName(total.status)].Add(total);
    by_user[total.user_id].Add(total);
  }
  const absl::TimeZone utc = absl::UTCTimeZone();
  Json report = {{"days", params.days},
                 {"from", absl::FormatTime(absl::RFC3339_sec, from, utc)},
                 {"to", absl::FormatTime(absl::RFC3339_sec, to, utc)},
                 {"overall", ToJson(overall, overall)},
                 {"by_model", ToList(by_model, "model", overall)},
                 {"by_status", ToList(by_status, "status", overall)},
                 {"by_user", ToList(by_user, "user", overall)},
                 {"users", by_user.size()}};
  context.ReportProgress(2, 2, "done");
  return report;
}

}  // namespace aibackend::tasks
