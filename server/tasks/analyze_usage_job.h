// The job kind "analyze_usage": what was asked of which model by whom, and what it cost.
#pragma once

#include <string>

#include "server/base/clock.h"
#include "server/jobs/job.h"
#include "server/usage/ledger.h"

namespace aibackend::tasks {

// Params: {"days": 1…3650, default 30}, counted back from now; "tenant", which the server sets and
// takes from no client: only of that one. Result:
//   {"days", "from", "to", "overall": Totals, "by_model": [Totals + "model"], "by_status": [Totals
//   +
//    "status"], "by_user": [Totals + "user"], "users"}
// where Totals is {"requests", "requests_percent", "prompt_tokens", "completion_tokens",
// "total_tokens", "cost_nano_usd", "estimated_cost", "cost_percent"}; percents are of the overall
// totals, lists are ordered by requests, most first, and cut at kListMax. "users" counts them all.
class AnalyzeUsageJob final : public jobs::JobKind {
 public:
  static constexpr size_t kListMax = 100;  // a result is to be read; the database has the rest

  AnalyzeUsageJob(usage::Ledger& ledger, Clock& clock) : ledger_(ledger), clock_(clock) {}

  std::string name() const override { return "analyze_usage"; }
  absl::Status Validate(const jobs::Json& params) const override;
  absl::StatusOr<jobs::Json> Run(const jobs::Json& params, jobs::JobContext& context) override;

 private:
  usage::Ledger& ledger_;
  Clock& clock_;
};

}  // namespace aibackend::tasks
