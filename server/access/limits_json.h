// Limits as JSON text: what the `limits` columns of the tables hold.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/access/principal.h"

namespace aibackend::access {

// An object of the limits that are set, by the contract's names: {"requests_per_minute":60}.
std::string FormatLimits(const Limits& limits);

// What FormatLimits wrote. Fails with FIELD_INVALID (no object, a name that is none, a value that
// is no integer) and as CheckLimits does.
absl::StatusOr<Limits> ParseLimits(absl::string_view json);

// Fails with FIELD_OUT_OF_RANGE and field "limits.<name>": each is 0 to 10^15, `concurrent` 0 to
// 10^6.
absl::Status CheckLimits(const Limits& limits);

}  // namespace aibackend::access
