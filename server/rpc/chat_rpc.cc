#include "server/rpc/chat_rpc.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/rpc/call.h"
#include "server/rpc/convert_chat.h"

namespace aibackend::rpc {
namespace {

// The turn behind a reactor: starts it once, and cancels it however early the client leaves.
class TurnHolder {
 public:
  absl::Status Start(Core& core, const v1::ChatRequest& request, Call& call, bool stream,
                     std::shared_ptr<chat::TurnSink> sink) {
    AIB_ASSIGN_OR_RETURN(chat::TurnRequest turn, ToTurn(request));
    turn.generate.request_id = call.request_id();
    turn.generate.stream = stream;
    absl::MutexLock lock(&mutex_);
    AIB_ASSIGN_OR_RETURN(turn_, core.chat.Start(std::move(turn), std::move(sink)));
    if (cancelled_) turn_->Cancel();
    return absl::OkStatus();
  }

  void Cancel() {
    absl::MutexLock lock(&mutex_);
    cancelled_ = true;
    if (turn_) turn_->Cancel();
  }

 private:
  absl::Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<chat::Turn> turn_ ABSL_GUARDED_BY(mutex_);
};

// Hands a turn's events to a reactor, which lives until it has finished, and it finishes after
// OnDone.
template <class Reactor>
class ForwardingSink final : public chat::TurnSink {
 public:
  explicit ForwardingSink(Reactor& reactor) : reactor_(reactor) {}
  void OnDelta(const models::Delta& delta) override { reactor_.OnDelta(delta); }
  void OnDone(chat::TurnResult result) override { reactor_.OnTurnDone(std::move(result)); }

 private:
  Reactor& reactor_;
};

class ChatCall final : public grpc::ServerUnaryReactor {
 public:
  ChatCall(Core& core, grpc::CallbackServerContext& context, v1::ChatResponse* response)
      : core_(core), call_(core, context, "Chat"), response_(response) {}

  void Start(const v1::ChatRequest& request) {
    call_.Record(PromptOf(request), request.user(), request.model());
    const absl::Status status = turn_.Start(core_, request, call_, /*stream=*/false,
                                            std::make_shared<ForwardingSink<ChatCall>>(*this));
    if (!status.ok()) Finish(call_.Finish(status));
  }

  void OnDelta(const models::Delta&) {}
  void OnTurnDone(chat::TurnResult result) {
    Account(result, call_.row());
    if (result.status.ok()) {
      FillWhole(result, call_.request_id(), response_);
    }
    Finish(call_.Finish(result.status));
  }

  void OnCancel() override { turn_.Cancel(); }
  void OnDone() override { delete this; }

 private:
  Core& core_;
  Call call_;
  v1::ChatResponse* response_;
  TurnHolder turn_;
};

// One write in flight; what arrives meanwhile joins the next one. The buffer is bounded by the
// longest answer a model may give, so a slow reader costs no more than the answer's own text.
class ChatStreamCall final : public grpc::ServerWriteReactor<v1::ChatStreamEvent> {
 public:
  ChatStreamCall(Core& core, grpc::CallbackServerContext& context)
      : core_(core), call_(core, context, "ChatStream") {}

  void Start(const v1::ChatRequest& request) {
    call_.Record(PromptOf(request), request.user(), request.model());
    const absl::Status status =
        turn_.Start(core_, request, call_, /*stream=*/true,
                    std::make_shared<ForwardingSink<ChatStreamCall>>(*this));
    if (!status.ok()) Finish(call_.Finish(status));
  }

  void OnDelta(const models::Delta& delta) {
    Change([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      pending_.append(delta.text.data(), delta.text.size());
    });
  }

  void OnTurnDone(chat::TurnResult result) {
    Account(result, call_.row());
    Change([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      end_status_ = result.status;
      if (end_status_.ok()) FillDone(result, call_.request_id(), done_.mutable_done());
      ended_ = true;
    });
  }

  void OnWriteDone(bool ok) override {
    Change([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      writing_ = false;
      if (!ok) client_gone_ = true;
    });
  }

  void OnCancel() override { turn_.Cancel(); }
  void OnDone() override { delete this; }

 private:
  enum class Next { kWait, kWrite, kFinish };

  // Changes the state under the lock, then does what follows from it outside: a write or a finish
  // may end in OnDone, which deletes this, before it returns.
  template <class Work>
  void Change(Work work) {
    Next next;
    {
      absl::MutexLock lock(&mutex_);
      work();
      next = Decide();
    }
    if (next == Next::kWrite) StartWrite(&event_);
    if (next == Next::kFinish) FinishStream();
  }

  Next Decide() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_ || finishing_) return Next::kWait;
    if (client_gone_) pending_.clear();
    if (!pending_.empty()) {
      event_.mutable_delta()->swap(pending_);
      pending_.clear();
      writing_ = true;
      return Next::kWrite;
    }
    finishing_ = ended_;
    return ended_ ? Next::kFinish : Next::kWait;
  }

  // Once, when nothing is in flight and the turn has ended: nobody else touches the state any more.
  void FinishStream() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (client_gone_ && end_status_.ok())
      end_status_ = MakeError(Reason::CANCELLED, "the client left");
    const grpc::Status status = call_.Finish(end_status_);
    if (status.ok()) {
      StartWriteAndFinish(&done_, grpc::WriteOptions(), status);
    } else {
      Finish(status);
    }
  }

  Core& core_;
  Call call_;
  TurnHolder turn_;

  absl::Mutex mutex_;
  std::string pending_ ABSL_GUARDED_BY(mutex_);
  v1::ChatStreamEvent event_;  // the write in flight
  v1::ChatStreamEvent done_;
  absl::Status end_status_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool client_gone_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool finishing_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

grpc::ServerUnaryReactor* StartChat(Core& core, grpc::CallbackServerContext& context,
                                    const v1::ChatRequest& request, v1::ChatResponse* response) {
  auto* call = new ChatCall(core, context, response);
  call->Start(request);
  return call;
}

grpc::ServerWriteReactor<v1::ChatStreamEvent>* StartChatStream(Core& core,
                                                               grpc::CallbackServerContext& context,
                                                               const v1::ChatRequest& request) {
  auto* call = new ChatStreamCall(core, context);
  call->Start(request);
  return call;
}

}  // namespace aibackend::rpc
