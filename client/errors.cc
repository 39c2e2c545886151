#include "client/errors.h"

#include <cstddef>
#include <iterator>

#include "aibackend/v1/errors.pb.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace aibackend::client {
namespace {

v1::Error::Reason NearestReason(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::UNAVAILABLE:
      return v1::Error::SERVER_UNREACHABLE;
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return v1::Error::DEADLINE_EXCEEDED;
    case grpc::StatusCode::CANCELLED:
      return v1::Error::CANCELLED;
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return v1::Error::OVERLOADED;
    case grpc::StatusCode::INVALID_ARGUMENT:
      return v1::Error::MALFORMED_REQUEST;
    case grpc::StatusCode::UNIMPLEMENTED:
      return v1::Error::METHOD_NOT_ALLOWED;
    case grpc::StatusCode::UNAUTHENTICATED:
      return v1::Error::KEY_REQUIRED;
    case grpc::StatusCode::PERMISSION_DENIED:
      return v1::Error::SCOPE_MISSING;
    default:
      return v1::Error::INTERNAL;
  }
}

void Read(const google::rpc::ErrorInfo& info, ClientError& error) {
  error.reason = info.reason();
}

void Read(const google::rpc::BadRequest& bad, ClientError& error) {
  if (bad.field_violations_size() > 0) error.field = bad.field_violations(0).field();
}

void Read(const google::rpc::RequestInfo& info, ClientError& error) {
  error.request_id = info.request_id();
}

void Read(const google::rpc::RetryInfo& info, ClientError& error) {
  error.retry_after =
      absl::Seconds(info.retry_delay().seconds()) + absl::Nanoseconds(info.retry_delay().nanos());
}

template <class Detail>
void ReadIf(const google::protobuf::Any& any, ClientError& error) {
  Detail detail;
  if (any.Is<Detail>() && any.UnpackTo(&detail)) Read(detail, error);
}

}  // namespace

std::string CodeName(grpc::StatusCode code) {
  static constexpr const char* kNames[] = {"OK",
                                           "CANCELLED",
                                           "UNKNOWN",
                                           "INVALID_ARGUMENT",
                                           "DEADLINE_EXCEEDED",
                                           "NOT_FOUND",
                                           "ALREADY_EXISTS",
                                           "PERMISSION_DENIED",
                                           "RESOURCE_EXHAUSTED",
                                           "FAILED_PRECONDITION",
                                           "ABORTED",
                                           "OUT_OF_RANGE",
                                           "UNIMPLEMENTED",
                                           "INTERNAL",
                                           "UNAVAILABLE",
                                           "DATA_LOSS",
                                           "UNAUTHENTICATED"};
  const auto index = static_cast<size_t>(code);
  return index < std::size(kNames) ? kNames[index] : "UNKNOWN";
}

ClientError MakeClientError(grpc::StatusCode code, v1::Error::Reason reason,
                            const std::string& message, const std::string& request_id) {
  ClientError error;
  error.code = CodeName(code);
  error.reason = v1::Error::Reason_Name(reason);
  error.message = message;
  error.request_id = request_id;
  return error;
}

ClientError DecodeError(const grpc::Status& status, const std::string& request_id) {
  ClientError error = MakeClientError(status.error_code(), NearestReason(status.error_code()),
                                      status.error_message(), request_id);
  google::rpc::Status details;
  if (details.ParseFromString(status.error_details())) {
    for (const auto& any : details.details()) {
      ReadIf<google::rpc::ErrorInfo>(any, error);
      ReadIf<google::rpc::BadRequest>(any, error);
      ReadIf<google::rpc::RequestInfo>(any, error);
      ReadIf<google::rpc::RetryInfo>(any, error);
    }
  }
  return error;
}

}  // namespace aibackend::client
