// One call in flight: its context with deadline, request id and cancellation. Private to client/.
#pragma once

#include "absl/time/clock.h"
#include "client/client.h"
#include "client/errors.h"

namespace aibackend::client {

class Call {
 public:
  Call(const CallOptions& options, absl::Duration timeout_default) : options_(options) {
    context_.set_deadline(
        absl::ToChronoTime(absl::Now() + options.timeout.value_or(timeout_default)));
    if (!options.request_id.empty()) context_.AddMetadata("x-request-id", options.request_id);
    if (options.cancellation != nullptr) options.cancellation->Attach(&context_);
  }
  ~Call() {
    if (options_.cancellation != nullptr) options_.cancellation->Detach();
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  grpc::ClientContext* context() { return &context_; }
  ClientError Error(const grpc::Status& status) const {
    return DecodeError(status, options_.request_id);
  }

 private:
  const CallOptions& options_;
  grpc::ClientContext context_;
};

}  // namespace aibackend::client
