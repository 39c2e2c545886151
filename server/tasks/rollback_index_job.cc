#include "server/tasks/rollback_index_job.h"

#include <algorithm>
#include <cmath>

#include "server/base/status.h"
#include "server/tasks/job_params.h"

namespace aibackend::tasks {
namespace {

using jobs::Json;

struct RollbackParams {
  retrieval::CollectionId collection;
  int generation = 0;  // 0: the one before
};

constexpr double kGenerationMax = 1e9;  // greater than any, and an int

absl::StatusOr<RollbackParams> ParseParams(const Json& json) {
  RollbackParams params;
  if (json.is_null()) return params;
  AIB_RETURN_IF_ERROR(CheckKeys(json, "params", {"collection", "tenant", "generation"}));
  AIB_RETURN_IF_ERROR(ReadCollection(json, params.collection));
  const auto generation = json.find("generation");
  if (generation == json.end() || generation->is_null()) return params;
  // The contract's numbers are doubles.
  const double value = generation->is_number() ? generation->get<double>() : std::nan("");
  if (std::floor(value) != value) return WrongType("params.generation", "an integer");
  if (value < 1 || value > kGenerationMax) {
    return MakeError(Reason::FIELD_OUT_OF_RANGE, "must be 1 or more", "params.generation");
  }
  params.generation = static_cast<int>(value);
  return params;
}

}  // namespace

absl::Status RollbackIndexJob::Validate(const Json& json) const {
  AIB_ASSIGN_OR_RETURN(const RollbackParams params, ParseParams(json));
  const auto info = store_.GetCollection(params.collection);
  if (!info.ok()) {
    return MakeError(ReasonOf(info.status()), info.status().message(), "params.collection");
  }
  const bool is_known =
      std::any_of(info->former.begin(), info->former.end(), [&](const auto& former) {
        return params.generation == 0 || former.number == params.generation;
      });
  if (is_known) return absl::OkStatus();
  return MakeError(Reason::FIELD_INVALID, "is none of the collection's former generations",
                   "params.generation");
}

absl::StatusOr<Json> RollbackIndexJob::Run(const Json& json, jobs::JobContext& context) {
  AIB_ASSIGN_OR_RETURN(const RollbackParams params, ParseParams(json));
  const auto progress = [&](int64_t done, int64_t total, absl::string_view what) {
    context.ReportProgress(done, total, what);
    return context.CheckAlive();
  };
  AIB_ASSIGN_OR_RETURN(
      const retrieval::RebuildResult rebuilt,
      store_.Rollback(params.collection, params.generation, context.job_id().value, progress));
  return ToJson(rebuilt);
}

}  // namespace aibackend::tasks
