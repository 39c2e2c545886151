#include "server/usage/request_row.h"

namespace aibackend::usage {

const char* RequestStatusName(RequestStatus status) {
  switch (status) {
    case RequestStatus::kRunning:
      return "RUNNING";
    case RequestStatus::kOk:
      return "OK";
    case RequestStatus::kCancelled:
      return "CANCELLED";
    case RequestStatus::kError:
      break;
  }
  return "ERROR";
}

absl::optional<RequestStatus> RequestStatusOf(absl::string_view name) {
  for (const RequestStatus status : {RequestStatus::kRunning, RequestStatus::kOk,
                                     RequestStatus::kError, RequestStatus::kCancelled}) {
    if (name == RequestStatusName(status)) return status;
  }
  return absl::nullopt;
}

}  // namespace aibackend::usage
