// What a subject has used, for quotas.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "server/base/money.h"
#include "server/storage/database.h"

namespace aibackend::usage {

// Of whom: all that are set must fit. A key by its id alone, a user by the tenant and its own.
struct SpentQuery {
  absl::optional<std::string> tenant;
  absl::optional<std::string> user_id;
  absl::optional<std::string> key_id;
  absl::Time day;    // a midnight (UTC) of the month that begins with `month`
  absl::Time month;  // a midnight too
  absl::Time now;    // what is held until then is held no more
};

struct SpentAmount {
  int64_t tokens = 0;  // of prompts and of answers
  NanoUsd money;       // of requests whose price is known
};

// What a killed process had reserved for a request, which may have cost as much.
struct HeldAmount {
  absl::Time created_at;  // of the request, since the month's beginning
  absl::Time until;
  SpentAmount amount;
};

struct SpentTotals {
  SpentAmount day;  // of requests that have ended, by their created_at
  SpentAmount month;
  std::vector<HeldAmount> held;
};

// Totals of what was rolled up and of the rows that weren't yet. One session, so that a roll-up
// between the two neither doubles a row nor leaves it out.
absl::StatusOr<SpentTotals> ReadSpent(storage::Session& session, const SpentQuery& query);

}  // namespace aibackend::usage
