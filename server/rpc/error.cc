#include "server/rpc/error.h"

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/base/status.h"
#include "server/base/text.h"

namespace aibackend::rpc {
namespace {

// For a retryable reason whose source gave no time of its own.
constexpr absl::Duration kRetryAfterDefault = absl::Seconds(1);

// A message may quote the request, and travels in trailers three times, of which a client takes
// 8 KB in all (GRPC_ARG_MAX_METADATA_SIZE): of more it would see RESOURCE_EXHAUSTED instead.
constexpr size_t kMessageBytesMax = 1024;

}  // namespace

grpc::Status ToGrpc(const absl::Status& status, const std::string& request_id) {
  if (status.ok()) return grpc::Status::OK;
  const v1::Error::Reason reason = ReasonOf(status);
  const v1::ErrorMapping& mapping = MappingOf(reason);
  // What is our own defect is for the log; the client gets the id to ask with.
  const std::string message =
      reason == Reason::INTERNAL
          ? "internal error; the server's log tells more under this request id"
          : std::string(Utf8Prefix(status.message(), kMessageBytesMax));

  google::rpc::Status rich;
  rich.set_code(mapping.code());
  rich.set_message(message);

  google::rpc::ErrorInfo info;
  info.set_reason(ReasonName(reason));
  info.set_domain("aibackend");
  rich.add_details()->PackFrom(info);

  google::rpc::RequestInfo request;
  request.set_request_id(request_id);
  rich.add_details()->PackFrom(request);

  if (const std::string field = FieldOf(status); !field.empty()) {
    google::rpc::BadRequest bad;
    auto* violation = bad.add_field_violations();
    violation->set_field(field);
    violation->set_description(message);
    rich.add_details()->PackFrom(bad);
  }
  if (mapping.retryable()) {
    const absl::Duration after = RetryAfterOf(status).value_or(kRetryAfterDefault);
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(absl::ToInt64Seconds(after));
    retry.mutable_retry_delay()->set_nanos(
        static_cast<int>(absl::ToInt64Nanoseconds(after % absl::Seconds(1))));
    rich.add_details()->PackFrom(retry);
  }
  return grpc::Status(static_cast<grpc::StatusCode>(mapping.code()), message,
                      rich.SerializeAsString());
}

}  // namespace aibackend::rpc
