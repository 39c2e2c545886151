#include "server/rpc/call.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/chat/turn_rules.h"
#include "server/telemetry/log.h"

namespace aibackend::rpc {
namespace {

constexpr char kRequestIdKey[] = "x-request-id";
constexpr size_t kRequestIdBytesMax = 128;
// By how much a caller's deadline may pass before this side sees it pass: the caller counts from
// before it sends, and either may be late by what a busy machine makes it.
constexpr absl::Duration kDeadlineMargin = absl::Milliseconds(100);

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

absl::string_view Header(const grpc::CallbackServerContext& context, const char* name) {
  const auto found = context.client_metadata().find(name);
  if (found == context.client_metadata().end()) return {};
  return {found->second.data(), found->second.size()};
}

// Of two it can't be told which is the caller's (w3.org/TR/trace-context, 3.2): none counts.
absl::string_view TraceparentOf(const grpc::CallbackServerContext& context) {
  const bool is_one = context.client_metadata().count("traceparent") == 1;
  return is_one ? Header(context, "traceparent") : absl::string_view();
}

// ratelimit-… as draft-ietf-httpapi-ratelimit-headers-06 has them, and draft 03's policy.
void AnswerRate(const access::RateState& rate, grpc::CallbackServerContext& context) {
  const auto seconds = static_cast<int64_t>(std::ceil(absl::ToDoubleSeconds(rate.reset)));
  context.AddInitialMetadata("ratelimit-limit", absl::StrCat(rate.limit));
  context.AddInitialMetadata("ratelimit-remaining", absl::StrCat(rate.remaining));
  context.AddInitialMetadata("ratelimit-reset", absl::StrCat(seconds));
  context.AddInitialMetadata("ratelimit-policy", absl::StrCat(rate.limit, ";w=60"));
}

}  // namespace

void NoteReserved(const access::Pass& pass, usage::RequestRow& row) {
  const access::Amount reserved = pass.reserved();
  row.reserved_tokens = reserved.tokens;
  row.reserved_money = reserved.money;
  row.shadow_limit = pass.shadow_limit();
}

access::Amount AmountOf(const usage::RequestRow& row) {
  return {int64_t{row.prompt_tokens} + row.completion_tokens, row.cost};
}

void CloseRow(usage::RequestRow& row, const absl::Status& status, absl::Time now) {
  row.status = status.ok()                                     ? usage::RequestStatus::kOk
               : status.code() == absl::StatusCode::kCancelled ? usage::RequestStatus::kCancelled
                                                               : usage::RequestStatus::kError;
  if (!status.ok()) row.error_reason = ReasonName(ReasonOf(status));
  row.response_time_ms = static_cast<int>(absl::ToInt64Milliseconds(now - row.created_at));
  row.response_bytes = static_cast<int>(row.response.size());
}

Call::Call(Core& core, grpc::CallbackServerContext& context, const char* endpoint, std::string user)
    : core_(core),
      deadline_(absl::FromChrono(context.deadline())),
      metrics_(core.metrics.RpcOf(endpoint)) {
  core.metrics.RequestBegan(metrics_);
  row_.request_id = RequestId(RequestIdOf(context, core.ids));
  span_ = core.tracer.StartRpc(endpoint, TraceparentOf(context), request_id());
  row_.trace_id = span_.context().TraceIdHex();
  row_.created_at = core.clock.Now();
  row_.endpoint = endpoint;
  context.AddInitialMetadata(kRequestIdKey, row_.request_id.value);
  admission_ = Admit(context, std::move(user));
  telemetry::Log(telemetry::Event::kRequestStarted,
                 {{"request_id", row_.request_id.value},
                  {"rpc", endpoint},
                  {"peer", context.peer()},
                  {"tenant", principal_ ? row_.tenant : std::string()},
                  {"key_id", row_.key_id},
                  telemetry::Field::IfAny("trace_id", row_.trace_id)});
}

absl::Status Call::Identify(const grpc::CallbackServerContext& context) {
  const bool required = core_.key_required || Header(context, "x-aibackend-auth") == "required";
  auto principal = core_.authenticator.Authenticate(
      {Header(context, "authorization"), Header(context, "x-api-key")}, required);
  if (!principal.ok()) {
    core_.metrics.AuthFailed(principal.status());
    return principal.status();
  }
  principal_ = *std::move(principal);
  row_.tenant = principal_->tenant;
  row_.key_id = principal_->key_id;
  return absl::OkStatus();
}

absl::Status Call::Admit(grpc::CallbackServerContext& context, std::string user) {
  const std::string address =
      core_.proxies.ClientOf(context.peer(), Header(context, "x-forwarded-for"));
  if (absl::Status unknown = Identify(context); !unknown.ok()) {
    // Who tries keys counts at the address it tries them from.
    access::Principal nobody;
    nobody.tenant.clear();
    AIB_RETURN_IF_ERROR(Count({nobody, "", address}, context));
    pass_ = nullptr;
    return unknown;
  }
  // It is the name of what is counted, and stays in memory.
  if (user.size() > chat::kUserBytesMax) {
    return MakeError(Reason::FIELD_OUT_OF_RANGE,
                     absl::StrCat("user is longer than ", chat::kUserBytesMax, " bytes"), "user");
  }
  if (!principal_->user.empty()) user = principal_->user;
  row_.user_id = std::move(user);
  const access::Scope scope = core_.scopes.Of(row_.endpoint);
  if (!principal_->May(scope)) {
    absl::Status refusal = MakeError(Reason::SCOPE_MISSING,
                                     absl::StrCat("this key may not do this; it needs the scope \"",
                                                  access::ScopeName(scope), "\""));
    core_.metrics.AuthFailed(refusal);
    return refusal;
  }
  // A limit that was set wrong must not keep out who would set it right.
  if (scope == access::Scope::kAdmin) return absl::OkStatus();
  return Count({*principal_, row_.user_id, address}, context);
}

absl::Status Call::Count(const access::Caller& caller, grpc::CallbackServerContext& context) {
  auto pass = core_.meter.Admit(caller, row_.created_at);
  const auto rate = pass.ok() ? (*pass)->rate() : access::RateOf(pass.status());
  if (rate) AnswerRate(*rate, context);
  if (!pass.ok()) return pass.status();
  pass_ = *std::move(pass);
  return absl::OkStatus();
}

std::string Call::OwnKey(const std::string& idempotency_key) const {
  // A key is printable: what stands before the separator is never a part of one.
  constexpr char kSeparator = '\x1f';
  if (row_.tenant == "default" && principal_->user.empty()) return idempotency_key;
  return absl::StrCat(row_.tenant, absl::string_view(&kSeparator, 1), principal_->user,
                      absl::string_view(&kSeparator, 1), idempotency_key);
}

void Call::Record(std::string prompt, std::string model) {
  if (!principal_) return;
  row_.row_id = core_.ids.Next("");
  row_.prompt_bytes = static_cast<int>(prompt.size());
  row_.prompt = std::move(prompt);
  row_.model = std::move(model);
  if (pass_) row_.shadow_limit = pass_->shadow_limit();
  recorded_ = true;
  core_.ledger.Begin(row_);
}

void Call::KeepReserved() {
  NoteReserved(*pass_, row_);
  if (recorded_) core_.ledger.Begin(row_);
}

void Call::LeaveRow() {
  recorded_ = false;
  pass_ = nullptr;
}

bool Call::IsDeadlineReached() const {
  return core_.clock.Now() >= deadline_ - kDeadlineMargin;
}

grpc::Status Call::Finish(absl::Status status) {
  const bool cancelled = status.code() == absl::StatusCode::kCancelled;
  if (cancelled && IsDeadlineReached()) {
    status = MakeError(Reason::DEADLINE_EXCEEDED, "the call's deadline passed");
  }
  // A deadline that passed is an error to the caller, and to the ledger a client that left.
  CloseRow(row_, status, core_.clock.Now());
  if (cancelled) row_.status = usage::RequestStatus::kCancelled;
  if (pass_) row_.shadow_limit = pass_->shadow_limit();
  if (recorded_) core_.ledger.End(row_);
  if (pass_) pass_->Settle(AmountOf(row_));  // the ledger first: see SpentSource
  core_.metrics.RequestEnded(metrics_, status, core_.clock.Now() - row_.created_at);
  telemetry::Tracer::EndRpc(span_, status);

  const auto trace = telemetry::Field::IfAny("trace_id", row_.trace_id);
  if (!status.ok() && ReasonOf(status) == Reason::INTERNAL) {
    telemetry::Log(telemetry::Event::kRequestFailed, {{"request_id", request_id()},
                                                      {"rpc", row_.endpoint},
                                                      {"ms", row_.response_time_ms},
                                                      {"error", status.ToString()},
                                                      trace});
  } else {
    telemetry::Log(telemetry::Event::kRequestFinished,
                   {{"request_id", request_id()},
                    {"rpc", row_.endpoint},
                    {"status", status.ok() ? std::string("OK") : row_.error_reason},
                    {"ms", row_.response_time_ms},
                    {"ttft_ms", row_.ttft_ms},
                    {"tokens", row_.prompt_tokens + row_.completion_tokens},
                    {"response_bytes", row_.response_bytes},
                    trace});
  }
  return ToGrpc(status, request_id());
}

grpc::ServerUnaryReactor* BlockingCall::Run(std::function<absl::Status(Call&)> work) {
  if (!call_.admission().ok()) {
    Finish(call_.Finish(call_.admission()));
    return this;
  }
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
