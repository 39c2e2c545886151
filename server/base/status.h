// Errors inside the server: absl::Status that carries a reason of the contract's table
// (errors.proto), the field it is about and when to retry. The gRPC code, the HTTP status and "may
// retry" follow from the reason, in the table alone.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "aibackend/v1/errors.pb.h"

namespace aibackend {

using Reason = v1::Error;  // Reason::TEMPERATURE_OUT_OF_RANGE reads as what it is

// A status with the code that the table gives `reason`. `field` names the request field at fault.
absl::Status MakeError(v1::Error::Reason reason, absl::string_view message,
                       absl::string_view field = {});

// The same, with the time after which a retry makes sense.
absl::Status WithRetryAfter(absl::Status status, absl::Duration after);

// What a status says. A status that MakeError didn't make has the nearest reason of its code
// (INTERNAL for most).
v1::Error::Reason ReasonOf(const absl::Status& status);
std::string FieldOf(const absl::Status& status);
absl::optional<absl::Duration> RetryAfterOf(const absl::Status& status);

// The name of a reason, as it stands in answers, logs and the ledger.
const std::string& ReasonName(v1::Error::Reason reason);

// The table's row of a reason.
const v1::ErrorMapping& MappingOf(v1::Error::Reason reason);

}  // namespace aibackend

// NOLINTBEGIN(bugprone-macro-parentheses): `lhs` is a declaration

// Returns the status of `expr` from the enclosing function unless it is OK.
#define AIB_RETURN_IF_ERROR(expr) \
  AIB_RETURN_IF_ERROR_IMPL_(AIB_CONCAT_(aib_status_, __LINE__), expr)
#define AIB_RETURN_IF_ERROR_IMPL_(tmp, expr)              \
  do {                                                    \
    if (absl::Status tmp = (expr); !tmp.ok()) return tmp; \
  } while (false)

// AIB_ASSIGN_OR_RETURN(auto value, Compute());
#define AIB_ASSIGN_OR_RETURN(lhs, expr) \
  AIB_ASSIGN_OR_RETURN_IMPL_(AIB_CONCAT_(aib_or_, __LINE__), lhs, expr)
#define AIB_ASSIGN_OR_RETURN_IMPL_(tmp, lhs, expr) \
  auto tmp = (expr);                               \
  if (!tmp.ok()) return tmp.status();              \
  lhs = *std::move(tmp)

#define AIB_CONCAT_(a, b) AIB_CONCAT_INNER_(a, b)
#define AIB_CONCAT_INNER_(a, b) a##b
// NOLINTEND(bugprone-macro-parentheses)
