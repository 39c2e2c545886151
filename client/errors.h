// From a gRPC status to the client's typed error.
#pragma once

#include <string>

#include "aibackend/v1/errors.pb.h"
#include "client/result.h"
#include "grpcpp/support/status.h"

namespace aibackend::client {

// Decodes a failed `status`: reason, field, request id and retry time come from the
// google.rpc.Status in its details. Where those are absent (the server was never reached, or isn't
// ours) the reason is the one of errors.proto nearest to the code, and the request id is
// `request_id`, the one sent.
ClientError DecodeError(const grpc::Status& status, const std::string& request_id);

// An error of the client's own.
ClientError MakeClientError(grpc::StatusCode code, v1::Error::Reason reason,
                            const std::string& message, const std::string& request_id);

// The name of a gRPC code as errors.proto writes it: "NOT_FOUND".
std::string CodeName(grpc::StatusCode code);

}  // namespace aibackend::client
