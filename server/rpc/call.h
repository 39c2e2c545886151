// The beat of every method: admit, convert, call, convert. A Call is what "admit" gives: who calls,
// the place that the caller's limits give, the request id, the two log lines and, for methods that
// do work, the one ledger row.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "grpcpp/grpcpp.h"
#include "server/access/meter.h"
#include "server/access/principal.h"
#include "server/base/status.h"
#include "server/rpc/core.h"
#include "server/rpc/error.h"

namespace aibackend::rpc {

// Fills in what a row says of its end.
void CloseRow(usage::RequestRow& row, const absl::Status& status, absl::Time now);

// What a pass holds, and the limit that it would have met in shadow mode.
void NoteReserved(const access::Pass& pass, usage::RequestRow& row);

// What a row comes to in the caller's quotas.
access::Amount AmountOf(const usage::RequestRow& row);

// Not thread-safe: belongs to whoever runs the request at the moment.
class Call {
 public:
  // Takes the caller's x-request-id (printable ASCII, at most 128 bytes) or makes one, sends it
  // back, logs the start, and admits: admission() says how that went. `user`: the person that the
  // request names, who counts where the key speaks for nobody.
  Call(Core& core, grpc::CallbackServerContext& context, const char* endpoint,
       std::string user = {});

  // Not OK: nothing is to be done, and Finish is called with it. KEY_REQUIRED, KEY_INVALID,
  // SCOPE_MISSING, RATE_LIMITED.
  const absl::Status& admission() const { return admission_; }

  const std::string& request_id() const { return row_.request_id.value; }
  absl::Time started_at() const { return row_.created_at; }
  // Whose documents, jobs and answers it works on.
  const std::string& tenant() const { return row_.tenant; }
  // Its place in a trace; belongs to whoever runs the request.
  const telemetry::Span& span() const { return span_; }
  // Only of a call whose caller is known.
  const access::Principal& principal() const { return *principal_; }
  bool May(access::Scope scope) const { return principal_ && principal_->May(scope); }
  // What keeps callers' idempotency keys apart: the key, with whose it is.
  std::string OwnKey(const std::string& idempotency_key) const;

  // Opens the ledger row of a method that does work. Nothing where the caller isn't known: a row
  // would belong to nobody.
  void Record(std::string prompt, std::string model = {});
  // To be filled in until Finish, which adds status, reason and time.
  usage::RequestRow& row() { return row_; }
  // Null before admission, and where it failed.
  const std::shared_ptr<access::Pass>& pass() const { return pass_; }

  // The pass holds something now: the row says so, for the case that this process is killed.
  void KeepReserved();

  // From now on row and pass are another's to end (a turn that outlives the call): Finish leaves
  // them alone.
  void LeaveRow();

  // The caller's deadline has passed, or is so near that the caller, whose clock started before
  // this one, may take it as passed.
  bool IsDeadlineReached() const;

  // Closes the row, settles with the limits, logs the end; what the RPC answers. Exactly once,
  // last. A call that was cancelled because its deadline passed says so.
  grpc::Status Finish(absl::Status status);

 private:
  absl::Status Admit(grpc::CallbackServerContext& context, std::string user);
  absl::Status Count(const access::Caller& caller, grpc::CallbackServerContext& context);
  absl::Status Identify(const grpc::CallbackServerContext& context);

  Core& core_;
  const absl::Time deadline_;
  const telemetry::Metrics::RpcRow& metrics_;
  telemetry::Span span_;
  usage::RequestRow row_;
  std::shared_ptr<const access::Principal> principal_;
  std::shared_ptr<access::Pass> pass_;
  absl::Status admission_;
  bool recorded_ = false;
};

// Runs a method that blocks (on the database, on retrieval) on the executor: `work` fills in the
// response. Not run for a caller that isn't admitted, or that has left by then; once begun it goes
// on to its end.
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
