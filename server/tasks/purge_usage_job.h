// The job kind "purge_usage": old requests leave the ledger, or only what was said in them.
#pragma once

#include <string>

#include "server/base/clock.h"
#include "server/jobs/job.h"
#include "server/usage/ledger.h"

namespace aibackend::tasks {

// Params: {"days", "content_days"}, each 1…36500, at least one of them, counted back from now. Rows
// older than "days" are deleted, where a roll-up has counted them already; of those older than
// "content_days" the prompt, the response and the detail are emptied, their sizes stay. Of every
// tenant. Result: {"rows", "contents"}: how many were deleted and emptied.
class PurgeUsageJob final : public jobs::JobKind {
 public:
  PurgeUsageJob(usage::Ledger& ledger, Clock& clock) : ledger_(ledger), clock_(clock) {}

  std::string name() const override { return "purge_usage"; }
  bool needs_admin() const override { return true; }
  absl::Status Validate(const jobs::Json& params) const override;
  absl::StatusOr<jobs::Json> Run(const jobs::Json& params, jobs::JobContext& context) override;

 private:
  usage::Ledger& ledger_;
  Clock& clock_;
};

}  // namespace aibackend::tasks
