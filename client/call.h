// One call in flight: its context with deadline, request id, credentials and cancellation. Private
// to client/.
#pragma once

#include <algorithm>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/client.h"
#include "client/errors.h"

namespace aibackend::client {

class Call {
 public:
  // `options` is borrowed for the life of the call; its key goes before `api_key`, the client's.
  Call(const std::string& api_key, const CallOptions& options, absl::Duration timeout_default)
      : options_(options) {
    context_.set_deadline(
        absl::ToChronoTime(absl::Now() + options.timeout.value_or(timeout_default)));
    const std::string& key = options.api_key.empty() ? api_key : options.api_key;
    if (!key.empty()) AddHeader("authorization", "Bearer ", key, v1::Error::KEY_INVALID);
    if (!options.request_id.empty()) {
      AddHeader("x-request-id", "", options.request_id, v1::Error::FIELD_INVALID);
    }
    if (options.cancellation != nullptr) options.cancellation->Attach(&context_);
  }
  ~Call() {
    if (options_.cancellation != nullptr) options_.cancellation->Detach();
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  grpc::ClientContext* context() { return &context_; }
  ClientError Error(const grpc::Status& status) const {
    return refused_ ? *refused_ : DecodeError(status, options_.request_id);
  }

 private:
  // gRPC ends the process over a header that HTTP/2 forbids: such a call ends before it starts.
  void AddHeader(const char* name, const char* prefix, const std::string& value,
                 v1::Error::Reason reason) {
    const auto printable = [](char c) { return c >= 0x20 && c < 0x7F; };
    if (std::all_of(value.begin(), value.end(), printable)) {
      return context_.AddMetadata(name, absl::StrCat(prefix, value));
    }
    const auto code = reason == v1::Error::KEY_INVALID ? grpc::StatusCode::UNAUTHENTICATED
                                                       : grpc::StatusCode::INVALID_ARGUMENT;
    refused_ = MakeClientError(code, reason,
                               absl::StrCat(name, " must be printable ASCII; nothing was sent"),
                               /*request_id=*/"");
    context_.TryCancel();
  }

  const CallOptions& options_;
  grpc::ClientContext context_;
  std::optional<ClientError> refused_;
};

template <class Stub, class Request, class Response>
Result<Response> Unary(Stub& stub,
                       grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                    Response*),
                       const Request& request, const std::string& api_key,
                       const CallOptions& options, absl::Duration timeout_default = kCallTimeout) {
  Call call(api_key, options, timeout_default);
  Response response;
  const grpc::Status status = (stub.*method)(call.context(), request, &response);
  if (!status.ok()) return call.Error(status);
  return response;
}

}  // namespace aibackend::client
