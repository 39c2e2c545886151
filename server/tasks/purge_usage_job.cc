#include "server/tasks/purge_usage_job.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/base/status.h"
#include "server/tasks/job_params.h"

namespace aibackend::tasks {
namespace {

using jobs::Json;
using usage::UsagePurge;

constexpr int64_t kDaysMax = 36500;  // a hundred years

struct PurgeParams {
  absl::optional<int64_t> days;
  absl::optional<int64_t> content_days;
};

absl::StatusOr<PurgeParams> ParseParams(const Json& json) {
  PurgeParams params;
  if (!json.is_null()) {
    AIB_RETURN_IF_ERROR(CheckKeys(json, "params", {"days", "content_days"}));
    AIB_ASSIGN_OR_RETURN(params.days, ReadWhole(json, "params", "days", 1, kDaysMax));
    AIB_ASSIGN_OR_RETURN(params.content_days,
                         ReadWhole(json, "params", "content_days", 1, kDaysMax));
  }
  if (params.days || params.content_days) return params;
  return MakeError(Reason::FIELD_REQUIRED, "days, content_days or both must be given",
                   "params.days");
}

absl::optional<absl::Time> Before(absl::Time now, const absl::optional<int64_t>& days) {
  if (!days) return absl::nullopt;
  return now - *days * absl::Hours(24);
}

}  // namespace

absl::Status PurgeUsageJob::Validate(const Json& params) const {
  return ParseParams(params).status();
}

absl::StatusOr<Json> PurgeUsageJob::Run(const Json& json, jobs::JobContext& context) {
  AIB_ASSIGN_OR_RETURN(const PurgeParams params, ParseParams(json));
  const absl::Time now = clock_.Now();
  UsagePurge purge =
      ledger_.Purge({Before(now, params.days), Before(now, params.content_days), billed_to_});
  for (bool has_more = true; has_more;) {
    AIB_RETURN_IF_ERROR(context.CheckAlive());
    AIB_ASSIGN_OR_RETURN(has_more, purge.Step());
    // How many there will be isn't known.
    const int64_t done = purge.rows() + purge.contents();
    context.ReportProgress(done, done, absl::StrCat("purged ", done, " rows"));
  }
  return Json{{"rows", purge.rows()}, {"contents", purge.contents()}};
}

}  // namespace aibackend::tasks
