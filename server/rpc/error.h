// absl::Status → grpc::Status, in one place.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "grpcpp/support/status.h"

namespace aibackend::rpc {

// The gRPC code of the status' reason, its message, and a google.rpc.Status with ErrorInfo (reason,
// domain "aibackend"), RequestInfo, and where they apply BadRequest (the field) and RetryInfo.
grpc::Status ToGrpc(const absl::Status& status, const std::string& request_id);

}  // namespace aibackend::rpc
