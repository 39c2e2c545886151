// Errors on their way to an HTTP client: from a gRPC status or from the gateway's own refusal, by
// the contract's one table (errors.proto), to {"error": {…}}, an HTTP status and Retry-After.
#pragma once

#include <grpcpp/support/status.h>

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "aibackend/v1/errors.pb.h"
#include "gateway/http/edge.h"

namespace aibackend::gateway {

using Reason = v1::Error;  // Reason::UNKNOWN_FIELD reads as what it is

struct ApiError {
  grpc::StatusCode code = grpc::StatusCode::INTERNAL;
  int http_status = 500;
  std::string reason;  // a name of the table, or what a newer server calls its own
  std::string message;
  std::string field;       // empty where it is about none
  std::string request_id;  // empty: the gateway's
  // Set where the same request may succeed later.
  std::optional<absl::Duration> retry_after;
};

// A refusal by the gateway itself.
ApiError MakeApiError(v1::Error::Reason reason, std::string message, std::string field = {});

// What a call's status says. Without details in it (the server was not reached, or is not ours) the
// gRPC code decides, by the mapping of google.rpc.Code; nothing of the network's own words is
// passed on for an unreachable server, as they name addresses.
ApiError ApiErrorOf(const grpc::Status& status);

// The body {"error":{…}}; `request_id` stands where the error brings none.
std::string ErrorJson(const ApiError& error, const std::string& request_id);

// Content-Type; WWW-Authenticate of a 401; Retry-After where one can help (seconds, rounded up).
HeaderList ErrorHeaders(const ApiError& error);

// Answers with status, headers and body of `error`.
void RespondError(Exchange& exchange, const ApiError& error, const std::string& request_id);

// EdgeOptions.refusal_answer: the headers and the body of what the edge refuses by itself.
std::pair<HeaderList, std::string> RefusalAnswer(Refusal refusal, const std::string& message,
                                                 const std::string& request_id);

}  // namespace aibackend::gateway
