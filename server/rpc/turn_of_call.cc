#include "server/rpc/turn_of_call.h"

#include <utility>

#include "absl/strings/str_join.h"
#include "server/chat/budget.h"
#include "server/chat/turn_rules.h"
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
  Record(request);
  auto asked = Check(context, request, form);
  if (!asked.ok()) return ready(asked.status());
  if (!core_.chat.guards_input()) return Begin(*std::move(asked), request, form, std::move(ready));
  // Not on the network's thread, and only what has come this far: it is work.
  chat::TurnRequest turn = std::move(asked->turn);
  const absl::Status queued = core_.chat.GuardThen(
      std::move(turn), [this, asked = *std::move(asked), &request, form, ready](
                           chat::TurnRequest guarded, const absl::Status& status) mutable {
        RecordGuarded(guarded, status);
        if (!status.ok()) return ready(status);
        asked.turn = std::move(guarded);
        Begin(std::move(asked), request, form, std::move(ready));
      });
  if (!queued.ok()) ready(queued);
}

// All that is cheap to refuse.
absl::StatusOr<TurnOfCall::Asked> TurnOfCall::Check(const grpc::CallbackServerContext& context,
                                                    const v1::ChatRequest& request, Form form) {
  AIB_RETURN_IF_ERROR(call_.admission());
  Asked asked;
  AIB_ASSIGN_OR_RETURN(asked.key, IdempotencyKeyOf(context));
  if (form == Form::kStream) {
    AIB_ASSIGN_OR_RETURN(asked.after, PositionOf(context, asked.key.has_value()));
  }
  AIB_ASSIGN_OR_RETURN(asked.turn, ToTurn(request, call_.tenant()));
  AIB_RETURN_IF_ERROR(chat::CheckTurn(asked.turn));
  return asked;
}

void TurnOfCall::Begin(Asked asked, const v1::ChatRequest& request, Form form,
                       std::function<void(absl::Status)> ready) {
  chat::TurnRequest& turn = asked.turn;
  turn.generate.request_id = call_.request_id();
  turn.generate.stream = form == Form::kStream;
  turn.generate.trace = call_.span().context();
  turn.before_model = Reserving();
  if (!asked.key) return ready(StartOwn(std::move(turn), form));
  AskKeyed(*std::move(asked.key), asked.after, request, std::move(turn), form, std::move(ready));
}

// Opens the row. Where there are rules for what users say, the question isn't in it before they
// have seen it.
void TurnOfCall::Record(const v1::ChatRequest& request) {
  std::string prompt = PromptOf(request);
  const size_t prompt_bytes = prompt.size();
  if (core_.chat.guards_input()) prompt.clear();
  call_.Record(std::move(prompt), request.model());
  call_.row().prompt_bytes = static_cast<int>(prompt_bytes);
}

// Of a question that they block the row keeps its size alone.
void TurnOfCall::RecordGuarded(const chat::TurnRequest& turn, const absl::Status& status) {
  if (status.ok()) call_.row().prompt = models::LastUserText(turn.generate.messages);
  call_.row().guardrails = absl::StrJoin(turn.guardrails, ",");
}

// Holds what the turn can cost, once it is known whom it is asked of and with which passages; the
// row says so, for the case that this process is killed. Touches nothing of the call, which the
// turn may outlive.
std::function<absl::Status(const models::ModelInfo&, models::GenerateRequest&)>
TurnOfCall::Reserving() const {
  if (!call_.pass()->is_metered()) return nullptr;
  return
      [&core = core_, pass = call_.pass(), row = std::make_shared<usage::RequestRow>(call_.row())](
          const models::ModelInfo& model, models::GenerateRequest& request) -> absl::Status {
        AIB_RETURN_IF_ERROR(
            chat::ReserveTurn(*pass, core.prices, core.quota_answer_tokens, model, request));
        NoteReserved(*pass, *row);
        core.ledger.Begin(*row);
        return absl::OkStatus();
      };
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
  question.key = call_.OwnKey(key);
  question.fingerprint = Fingerprint(request);
  question.after = after;
  question.turn = std::move(turn);
  // The row of a turn that may outlive this call, and so touches nothing of it.
  question.on_end = [&core = core_, pass = call_.pass(),
                     row = call_.row()](const chat::TurnResult& result) mutable {
    Account(result, row);
    CloseRow(row, result.status, core.clock.Now());
    row.shadow_limit = pass->shadow_limit();
    core.ledger.End(row);
    pass->Settle(AmountOf(row));
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
