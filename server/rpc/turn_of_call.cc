#include "server/rpc/turn_of_call.h"

#include <utility>

#include "server/rpc/convert_chat.h"
#include "server/rpc/idempotency.h"

namespace aibackend::rpc {
namespace {

using chat::TurnFeed;

// Where a stream goes on, if it does: named only together with a key.
absl::StatusOr<absl::optional<int64_t>> PositionOf(const grpc::CallbackServerContext& context,
                                                   bool has_key) {
  AIB_ASSIGN_OR_RETURN(const absl::optional<int64_t> after, LastEventIdOf(context));
  if (after && !has_key) {
    return MakeError(Reason::FIELD_INVALID,
                     "only a stream that has an idempotency-key can be gone on with",
                     "last-event-id");
  }
  return after;
}

}  // namespace

void TurnOfCall::Start(const grpc::CallbackServerContext& context, const v1::ChatRequest& request,
                       Form form, std::function<void(absl::Status)> ready) {
  auto key = IdempotencyKeyOf(context);
  if (!key.ok()) return ready(key.status());
  absl::StatusOr<absl::optional<int64_t>> after = absl::optional<int64_t>();
  if (form == Form::kStream) after = PositionOf(context, key->has_value());
  if (!after.ok()) return ready(after.status());
  auto turn = ToTurn(request, call_.tenant());
  if (!turn.ok()) return ready(turn.status());
  turn->generate.request_id = call_.request_id();
  turn->generate.stream = form == Form::kStream;
  if (!*key) return ready(StartOwn(*std::move(turn), form));
  AskKeyed(**std::move(key), *after, request, *std::move(turn), form, std::move(ready));
}

absl::Status TurnOfCall::StartOwn(chat::TurnRequest turn, Form form) {
  const bool streams = form == Form::kStream;
  feed_ =
      std::make_shared<TurnFeed>(streams ? TurnFeed::Keep::kUntilRead : TurnFeed::Keep::kEndOnly);
  answer_id_ = call_.request_id();
  if (!streams) feed_->AttachForEnd(reader_);
  absl::MutexLock lock(&mutex_);
  AIB_ASSIGN_OR_RETURN(turn_, core_.chat.Start(std::move(turn), feed_));
  part_ = Part::kOwner;
  if (cancelled_) turn_->Cancel();
  return absl::OkStatus();
}

void TurnOfCall::AskKeyed(std::string key, absl::optional<int64_t> after,
                          const v1::ChatRequest& request, chat::TurnRequest turn, Form form,
                          std::function<void(absl::Status)> ready) {
  chat::KeyedTurns::Question question;
  question.key = std::move(key);
  question.fingerprint = Fingerprint(request);
  question.after = after;
  question.turn = std::move(turn);
  // The row of a turn that may outlive this call, and so touches nothing of it.
  question.on_end = [&ledger = core_.ledger, &clock = core_.clock,
                     row = call_.row()](const chat::TurnResult& result) mutable {
    Account(result, row);
    CloseRow(row, result.status, clock.Now());
    ledger.End(row);
  };
  core_.keyed_turns.Ask(std::move(question),
                        [this, after = after.value_or(0), form,
                         ready = std::move(ready)](absl::StatusOr<chat::KeyedTurns::Seat> seat) {
                          ready(Sit(std::move(seat), after, form));
                        });
}

absl::Status TurnOfCall::Sit(absl::StatusOr<chat::KeyedTurns::Seat> seat, int64_t after,
                             Form form) {
  AIB_RETURN_IF_ERROR(seat.status());
  absl::MutexLock lock(&mutex_);
  part_ = seat->is_first ? Part::kFirst : Part::kReplay;
  feed_ = std::move(seat->feed);
  hold_ = std::move(seat->hold);
  answer_id_ = std::move(seat->request_id);
  from_start_ = after == 0;
  if (part_ == Part::kFirst) call_.LeaveRow();
  if (form == Form::kWhole) {
    feed_->AttachForEnd(reader_);
  } else if (!feed_->Attach(reader_, after)) {
    return MakeError(Reason::STREAM_NOT_FOUND, "the stream hasn't come as far as last-event-id",
                     "last-event-id");
  }
  if (cancelled_) feed_->Leave(reader_);
  return absl::OkStatus();
}

bool TurnOfCall::Cancel() {
  std::shared_ptr<TurnFeed> shared;
  {
    absl::MutexLock lock(&mutex_);
    cancelled_ = true;
    if (turn_) turn_->Cancel();
    if (part_ == Part::kFirst || part_ == Part::kReplay) shared = feed_;
  }
  return shared && shared->Leave(reader_);
}

grpc::Status TurnOfCall::Finish(const absl::Status& status) {
  usage::RequestRow& row = call_.row();
  // The first one's row is ended by its turn; what is filled in here is for the log.
  if (part_ == Part::kOwner || (part_ == Part::kFirst && status.ok())) {
    Account(feed_->result(), row);
  }
  if (part_ == Part::kReplay) {
    row.replay_of = answer_id_;
    if (status.ok()) {
      row.model = feed_->result().model;
      if (from_start_) row.response = feed_->result().answer.text;
    }
  }
  return call_.Finish(status);
}

}  // namespace aibackend::rpc
