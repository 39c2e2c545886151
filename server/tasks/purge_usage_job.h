// The job kind "purge_usage": old requests leave the ledger, or only what was said in them.
#pragma once

#include <string>
#include <utility>

#include "absl/types/optional.h"
#include "server/base/clock.h"
#include "server/jobs/job.h"
#include "server/usage/ledger.h"

namespace aibackend::tasks {

// Params: {"days", "content_days"}, each 1…36500, at least one of them, counted back from now. Rows
// older than "days" are deleted, where a roll-up has counted them already and, where usage is
// billed, the export has passed them; of those older than "content_days" the prompt, the response
// and the detail are emptied, their sizes stay. Of every tenant. Result: {"rows", "contents"}: how
// many were deleted and emptied.
class PurgeUsageJob final : public jobs::JobKind {
 public:
  // `billed_to`: the destination of the ExportBillingJob; absent: nobody bills.
  PurgeUsageJob(usage::Ledger& ledger, Clock& clock,
                absl::optional<std::string> billed_to = absl::nullopt)
      : ledger_(ledger), clock_(clock), billed_to_(std::move(billed_to)) {}

  std::string name() const override { return "purge_usage"; }
  bool needs_admin() const override { return true; }
  absl::Status Validate(const jobs::Json& params) const override;
  absl::StatusOr<jobs::Json> Run(const jobs::Json& params, jobs::JobContext& context) override;

 private:
  usage::Ledger& ledger_;
  Clock& clock_;
  const absl::optional<std::string> billed_to_;
};

}  // namespace aibackend::tasks
