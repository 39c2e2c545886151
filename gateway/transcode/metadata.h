// What of an HTTP request's headers goes on to the server as gRPC metadata, what comes back as
// headers, and the request's id.
#pragma once

#include <grpcpp/client_context.h>

#include <map>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "gateway/http/edge.h"
#include "gateway/transcode/error.h"
#include "httplib.h"

namespace aibackend::gateway {

inline constexpr size_t kRequestIdBytesMax = 128;
// gRPC servers refuse more than 8 KiB of metadata as a whole; the rest is for gRPC's own.
inline constexpr size_t kForwardedBytesMax = 6 * 1024;

// The request's x-request-id if it is printable ASCII of at most 128 bytes, else a new id: "req_"
// and the 26 characters of a ULID (github.com/ulid/spec). Thread-safe.
std::string RequestIdOf(const httplib::Request& request);
std::string NewRequestId();

// Adds x-request-id, `traceparent` where it isn't empty (the gateway's own: the request's is not
// the server's parent) and, where the request has them, authorization, x-api-key, idempotency-key
// and, if the answer is resumable, last-event-id. Refuses a header that is given twice, is no
// printable ASCII, or is too long: it would be ambiguous, or no gRPC metadata.
// Adds x-forwarded-for too: what came as such, and after it the client's address. With
// `needs_key` the server is told to ask for a key although it may not ask others.
[[nodiscard]] std::optional<ApiError> ForwardHeaders(const httplib::Request& request,
                                                     const std::string& request_id,
                                                     const std::string& traceparent,
                                                     bool is_resumable, bool needs_key,
                                                     grpc::ClientContext& context);

// Those of a server's initial metadata that a client gets as headers: ratelimit-…, x-cache.
using ServerMetadata = std::multimap<grpc::string_ref, grpc::string_ref>;
HeaderList AnswerHeaders(const ServerMetadata& metadata);

}  // namespace aibackend::gateway
