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

absl::StatusOr<int64_t> ParseDays(const Json& params) {
  if (params.is_null()) return kDaysDefault;
  AIB_RETURN_IF_ERROR(CheckKeys(params, "params", {"days"}));
  const auto days = params.find("days");
  if (days == params.end() || days->is_null()) return kDaysDefault;
  // A number that came through a protobuf Struct is a double.
  const double value = days->is_number() ? days->get<double>() : std::nan("");
  if (std::isnan(value) || value != std::floor(value)) {
    return WrongType("params.days", "an integer");
  }
  if (value < 1 || value > kDaysMax) {
    return MakeError(Reason::FIELD_OUT_OF_RANGE, absl::StrCat("must be 1 to ", kDaysMax),
                     "params.days");
  }
  return static_cast<int64_t>(value);
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
  return ParseDays(params).status();
}

absl::StatusOr<Json> AnalyzeUsageJob::Run(const Json& params, jobs::JobContext& context) {
  AIB_ASSIGN_OR_RETURN(const int64_t days, ParseDays(params));
  const absl::Time to = clock_.Now();
  const absl::Time from = to - days * absl::Hours(24);
  context.ReportProgress(0, 2, "adding up the rows");
  AIB_ASSIGN_OR_RETURN(const std::vector<UsageTotal> totals, ledger_.Totals(from, to));
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
  Json report = {{"days", days},
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
