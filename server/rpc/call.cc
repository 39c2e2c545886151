#include "server/rpc/call.h"

#include <utility>

#include "server/telemetry/log.h"

namespace aibackend::rpc {
namespace {

constexpr char kRequestIdKey[] = "x-request-id";
constexpr size_t kRequestIdBytesMax = 128;

bool IsUsable(grpc::string_ref id) {
  if (id.empty() || id.size() > kRequestIdBytesMax) return false;
  for (const char c : id) {
    if (c <= ' ' || c > '~') return false;
  }
  return true;
}

std::string RequestIdOf(const grpc::CallbackServerContext& context, IdSource& ids) {
  const auto& metadata = context.client_metadata();
  const auto found = metadata.find(kRequestIdKey);
  if (found != metadata.end() && IsUsable(found->second))
    return {found->second.data(), found->second.size()};
  return ids.Next("req_");
}

}  // namespace

void CloseRow(usage::RequestRow& row, const absl::Status& status, absl::Time now) {
  row.status = status.ok()                                     ? usage::RequestStatus::kOk
               : status.code() == absl::StatusCode::kCancelled ? usage::RequestStatus::kCancelled
                                                               : usage::RequestStatus::kError;
  if (!status.ok()) row.error_reason = ReasonName(ReasonOf(status));
  row.response_time_ms = static_cast<int>(absl::ToInt64Milliseconds(now - row.created_at));
  row.response_bytes = static_cast<int>(row.response.size());
}

Call::Call(Core& core, grpc::CallbackServerContext& context, const char* endpoint)
    : core_(core), deadline_(absl::FromChrono(context.deadline())) {
  row_.request_id = RequestId(RequestIdOf(context, core.ids));
  row_.created_at = core.clock.Now();
  row_.endpoint = endpoint;
  context.AddInitialMetadata(kRequestIdKey, row_.request_id.value);
  telemetry::Log(
      telemetry::Event::kRequestStarted,
      {{"request_id", row_.request_id.value}, {"rpc", endpoint}, {"peer", context.peer()}});
}

void Call::Record(std::string prompt, std::string user, std::string model) {
  row_.row_id = core_.ids.Next("");
  row_.prompt_bytes = static_cast<int>(prompt.size());
  row_.prompt = std::move(prompt);
  row_.user_id = std::move(user);
  row_.model = std::move(model);
  recorded_ = true;
  core_.ledger.Begin(row_);
}

grpc::Status Call::Finish(absl::Status status) {
  const bool cancelled = status.code() == absl::StatusCode::kCancelled;
  if (cancelled && core_.clock.Now() >= deadline_) {
    status = MakeError(Reason::DEADLINE_EXCEEDED, "the call's deadline passed");
  }
  // A deadline that passed is an error to the caller, and to the ledger a client that left.
  CloseRow(row_, status, core_.clock.Now());
  if (cancelled) row_.status = usage::RequestStatus::kCancelled;
  if (recorded_) core_.ledger.End(row_);

  if (!status.ok() && ReasonOf(status) == Reason::INTERNAL) {
    telemetry::Log(telemetry::Event::kRequestFailed, {{"request_id", request_id()},
                                                      {"rpc", row_.endpoint},
                                                      {"ms", row_.response_time_ms},
                                                      {"error", status.ToString()}});
  } else {
    telemetry::Log(telemetry::Event::kRequestFinished,
                   {{"request_id", request_id()},
                    {"rpc", row_.endpoint},
                    {"status", status.ok() ? std::string("OK") : row_.error_reason},
                    {"ms", row_.response_time_ms},
                    {"ttft_ms", row_.ttft_ms},
                    {"tokens", row_.prompt_tokens + row_.completion_tokens},
                    {"response_bytes", row_.response_bytes}});
  }
  return ToGrpc(status, request_id());
}

grpc::ServerUnaryReactor* BlockingCall::Run(std::function<absl::Status(Call&)> work) {
  const bool queued = core_.executor.TrySubmit([this, work = std::move(work)] {
    // Under load much of what waited has nobody waiting for it any more.
    const bool is_abandoned = context_.IsCancelled();
    Finish(
        call_.Finish(is_abandoned ? MakeError(Reason::CANCELLED, "the client left") : work(call_)));
  });
  if (!queued) {
    Finish(call_.Finish(WithRetryAfter(MakeError(Reason::OVERLOADED, "too many calls are waiting"),
                                       absl::Seconds(1))));
  }
  return this;
}

}  // namespace aibackend::rpc
