// The beat of every method: admit, convert, call, convert. A Call is what "admit" gives: the
// request id, the two log lines and, for methods that do work, the one ledger row.
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "grpcpp/grpcpp.h"
#include "server/base/status.h"
#include "server/rpc/core.h"
#include "server/rpc/error.h"

namespace aibackend::rpc {

// Fills in what a row says of its end.
void CloseRow(usage::RequestRow& row, const absl::Status& status, absl::Time now);

// Not thread-safe: belongs to whoever runs the request at the moment.
class Call {
 public:
  // Takes the caller's x-request-id (printable ASCII, at most 128 bytes) or makes one, sends it
  // back, logs the start.
  Call(Core& core, grpc::CallbackServerContext& context, const char* endpoint);

  const std::string& request_id() const { return row_.request_id.value; }
  absl::Time started_at() const { return row_.created_at; }
  // Whose documents it works on.
  const std::string& tenant() const { return tenant_; }

  // Opens the ledger row of a method that does work.
  void Record(std::string prompt, std::string user = {}, std::string model = {});
  // To be filled in until Finish, which adds status, reason and time.
  usage::RequestRow& row() { return row_; }

  // From now on the row is another's to end (a turn that outlives the call): Finish leaves it
  // alone.
  void LeaveRow() { recorded_ = false; }

  // Closes the row, logs the end; what the RPC answers. Exactly once, last. A call that was
  // cancelled because its deadline passed says so.
  grpc::Status Finish(absl::Status status);

 private:
  Core& core_;
  const absl::Time deadline_;
  const std::string tenant_ = "default";
  usage::RequestRow row_;
  bool recorded_ = false;
};

// Runs a method that blocks (on the database, on retrieval) on the executor: `work` fills in the
// response. Not run for a client that has left by then; once begun it goes on to its end.
class BlockingCall final : public grpc::ServerUnaryReactor {
 public:
  BlockingCall(Core& core, grpc::CallbackServerContext& context, const char* endpoint)
      : core_(core), context_(context), call_(core, context, endpoint) {}

  // Opens a ledger row; only before Run.
  BlockingCall* Record(std::string prompt) {
    call_.Record(std::move(prompt));
    return this;
  }
  grpc::ServerUnaryReactor* Run(std::function<absl::Status(Call&)> work);

  void OnDone() override { delete this; }

 private:
  Core& core_;
  grpc::CallbackServerContext& context_;
  Call call_;
};

}  // namespace aibackend::rpc
