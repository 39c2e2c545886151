// Reads one file out of a zip archive in memory.
#pragma once

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/extract/cpu_budget.h"
#include "server/extract/extract.h"

namespace aibackend::extract {

// Hands the member `name` to `sink` in pieces as it inflates; stops where `sink` fails. False where
// there is no such member. Never holds more than a piece. Fails with FIELD_INVALID (no zip,
// damaged, encrypted), REQUEST_TOO_LARGE (inflates beyond the limits), or as `sink` does.
absl::StatusOr<bool> ReadZipMember(absl::string_view zip, absl::string_view name,
                                   const ExtractLimits& limits, const CpuBudget& cpu,
                                   absl::FunctionRef<absl::Status(absl::string_view)> sink);

}  // namespace aibackend::extract
