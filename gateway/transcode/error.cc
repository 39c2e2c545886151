#include "gateway/transcode/error.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "aibackend/v1/annotations.pb.h"
#include "gateway/transcode/json_writer.h"
#include "google/protobuf/util/time_util.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace aibackend::gateway {
namespace {

constexpr char kDomain[] = "aibackend";
// Where the server names no delay: long enough for a restart, short enough to be worth waiting.
constexpr absl::Duration kRetryAfterDefault = absl::Seconds(1);

const v1::ErrorMapping& MappingOf(v1::Error::Reason reason) {
  const auto* value = v1::Error::Reason_descriptor()->FindValueByNumber(reason);
  return (value ? value : v1::Error::Reason_descriptor()->value(0))
      ->options()
      .GetExtension(v1::error);
}

const char* CodeName(grpc::StatusCode code) {
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

// google/rpc/code.proto states the HTTP status of each code.
int HttpStatusOf(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::OK:
      return 200;
    case grpc::StatusCode::CANCELLED:
      return 499;
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::FAILED_PRECONDITION:
    case grpc::StatusCode::OUT_OF_RANGE:
      return 400;
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return 504;
    case grpc::StatusCode::NOT_FOUND:
      return 404;
    case grpc::StatusCode::ALREADY_EXISTS:
    case grpc::StatusCode::ABORTED:
      return 409;
    case grpc::StatusCode::PERMISSION_DENIED:
      return 403;
    case grpc::StatusCode::UNAUTHENTICATED:
      return 401;
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return 429;
    case grpc::StatusCode::UNIMPLEMENTED:
      return 501;
    case grpc::StatusCode::UNAVAILABLE:
      return 503;
    default:
      return 500;
  }
}

v1::Error::Reason ReasonOfCode(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::CANCELLED:
      return Reason::CANCELLED;
    case grpc::StatusCode::INVALID_ARGUMENT:
      return Reason::FIELD_INVALID;
    case grpc::StatusCode::OUT_OF_RANGE:
      return Reason::FIELD_OUT_OF_RANGE;
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return Reason::DEADLINE_EXCEEDED;
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return Reason::OVERLOADED;
    case grpc::StatusCode::UNAVAILABLE:
      return Reason::SERVER_UNREACHABLE;
    case grpc::StatusCode::INTERNAL:
    case grpc::StatusCode::UNKNOWN:
    case grpc::StatusCode::DATA_LOSS:
      return Reason::INTERNAL;
    default:
      return Reason::REASON_UNSPECIFIED;
  }
}

std::string MessageWithoutDetails(const grpc::Status& status) {
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
      return "the server behind the gateway cannot be reached";
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return "the request was not answered within the gateway's time limit";
    case grpc::StatusCode::UNIMPLEMENTED:
      return "the server behind the gateway does not know this method";
    default:
      return status.error_message().empty() ? "the server gave no message" : status.error_message();
  }
}

ApiError WithoutDetails(const grpc::Status& status) {
  const v1::Error::Reason reason = ReasonOfCode(status.error_code());
  ApiError error = MakeApiError(reason, MessageWithoutDetails(status));
  error.code = status.error_code();
  error.http_status = HttpStatusOf(status.error_code());
  return error;
}

// Fills what one detail of the status says.
void ReadDetail(const google::protobuf::Any& any, ApiError& error) {
  google::rpc::BadRequest bad_request;
  google::rpc::RequestInfo request_info;
  google::rpc::RetryInfo retry_info;
  if (any.UnpackTo(&bad_request)) {
    if (bad_request.field_violations_size() > 0)
      error.field = bad_request.field_violations(0).field();
  } else if (any.UnpackTo(&request_info)) {
    error.request_id = request_info.request_id();
  } else if (any.UnpackTo(&retry_info)) {
    error.retry_after = absl::Milliseconds(
        google::protobuf::util::TimeUtil::DurationToMilliseconds(retry_info.retry_delay()));
  }
}

}  // namespace

ApiError MakeApiError(v1::Error::Reason reason, std::string message, std::string field) {
  const v1::ErrorMapping& mapping = MappingOf(reason);
  ApiError error;
  error.code = static_cast<grpc::StatusCode>(mapping.code());
  error.http_status = mapping.http_status();
  error.reason = v1::Error::Reason_Name(reason);
  error.message = std::move(message);
  error.field = std::move(field);
  if (mapping.retryable()) error.retry_after = kRetryAfterDefault;
  return error;
}

ApiError ApiErrorOf(const grpc::Status& status) {
  google::rpc::Status details;
  if (status.error_details().empty() || !details.ParseFromString(status.error_details()))
    return WithoutDetails(status);

  std::string reason_name;
  for (const auto& any : details.details()) {
    google::rpc::ErrorInfo info;
    if (any.UnpackTo(&info) && info.domain() == kDomain) reason_name = info.reason();
  }
  if (reason_name.empty()) return WithoutDetails(status);

  ApiError error;
  v1::Error::Reason reason;
  if (v1::Error::Reason_Parse(reason_name, &reason)) {
    error = MakeApiError(reason, status.error_message());
  } else {  // a reason that a newer server added: its code is still one we know
    error.http_status = HttpStatusOf(status.error_code());
    error.reason = reason_name;
    error.message = status.error_message();
  }
  error.code = status.error_code();
  for (const auto& any : details.details()) ReadDetail(any, error);
  return error;
}

std::string ErrorJson(const ApiError& error, const std::string& request_id) {
  std::string json = "{\"error\":{\"code\":";
  AppendJsonString(CodeName(error.code), json);
  json += ",\"reason\":";
  AppendJsonString(error.reason, json);
  json += ",\"message\":";
  AppendJsonString(error.message, json);
  json += ",\"field\":";
  AppendJsonString(error.field, json);
  json += ",\"request_id\":";
  AppendJsonString(error.request_id.empty() ? request_id : error.request_id, json);
  json += "}}";
  return json;
}

HeaderList ErrorHeaders(const ApiError& error) {
  HeaderList headers = {{"Content-Type", "application/json"}};
  // RFC 9110, 15.5.2: such an answer names a scheme. x-api-key has none of its own.
  if (error.http_status == 401) headers.emplace_back("WWW-Authenticate", "Bearer");
  if (error.retry_after) {
    const int64_t seconds = absl::ToInt64Seconds(absl::Ceil(*error.retry_after, absl::Seconds(1)));
    headers.emplace_back("Retry-After", absl::StrCat(std::max<int64_t>(1, seconds)));
  }
  return headers;
}

void RespondError(Exchange& exchange, const ApiError& error, const std::string& request_id) {
  exchange.Respond(error.http_status, ErrorHeaders(error), ErrorJson(error, request_id));
}

std::pair<HeaderList, std::string> RefusalAnswer(Refusal refusal, const std::string& message,
                                                 const std::string& request_id) {
  const auto reason = [refusal] {
    switch (refusal) {
      case Refusal::kMalformed:
      case Refusal::kBadContentLength:
        return Reason::MALFORMED_REQUEST;
      case Refusal::kHeadersTooLarge:
        return Reason::HEADERS_TOO_LARGE;
      case Refusal::kBodyTooLarge:
        return Reason::REQUEST_TOO_LARGE;
      case Refusal::kTimeout:
        return Reason::REQUEST_TIMEOUT;
      case Refusal::kUnsupportedEncoding:
        return Reason::UNSUPPORTED_MEDIA_TYPE;
      case Refusal::kTooManyConnections:
        return Reason::TOO_MANY_CONNECTIONS;
      case Refusal::kTooManyBytes:
        return Reason::OVERLOADED;
      case Refusal::kUnanswered:
        return Reason::INTERNAL;
    }
    return Reason::MALFORMED_REQUEST;
  }();
  const ApiError error = MakeApiError(reason, message);
  HeaderList headers = ErrorHeaders(error);
  headers.emplace_back("x-request-id", request_id);
  return {std::move(headers), ErrorJson(error, request_id)};
}

}  // namespace aibackend::gateway
