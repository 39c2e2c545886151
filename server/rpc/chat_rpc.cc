#include "server/rpc/chat_rpc.h"

#include <utility>

#include "server/rpc/call.h"
#include "server/rpc/convert_chat.h"
#include "server/rpc/turn_of_call.h"

namespace aibackend::rpc {
namespace {

using chat::TurnFeed;

// The header x-cache; before the first message.
void AnswerCache(const TurnFeed& feed, grpc::CallbackServerContext& context) {
  if (feed.cache() == TurnFeed::Cache::kNotAsked) return;
  context.AddInitialMetadata("x-cache", feed.cache() == TurnFeed::Cache::kHit ? "HIT" : "MISS");
}

absl::Status ClientLeft() {
  return MakeError(Reason::CANCELLED, "the client left");
}

// Waits for the end of its turn.
class ChatCall final : public grpc::ServerUnaryReactor, private chat::FeedReader {
 public:
  ChatCall(Core& core, grpc::CallbackServerContext& context, const v1::ChatRequest& request,
           v1::ChatResponse* response)
      : call_(core, context, "Chat", request.user()),
        turn_(core, call_, *this),
        context_(context),
        response_(response) {}

  void Start(const v1::ChatRequest& request) {
    turn_.Start(context_, request, TurnOfCall::Form::kWhole, [this](const absl::Status& status) {
      if (!status.ok()) return End(status);
      OnNews();
    });
  }

  void OnCancel() override {
    if (turn_.Cancel()) End(ClientLeft());
  }
  void OnDone() override { delete this; }

 private:
  void OnNews() override {
    switch (turn_.feed().Take(*this, nullptr)) {
      case TurnFeed::Next::kEnd:
        return End(turn_.feed().result().status);
      case TurnFeed::Next::kLeft:
        return End(ClientLeft());
      case TurnFeed::Next::kEvent:
      case TurnFeed::Next::kWait:
        return;
    }
  }

  void End(const absl::Status& status) {
    if (status.ok()) {
      FillWhole(turn_.feed().result(), turn_.answer_id(), response_);
      AnswerCache(turn_.feed(), context_);
    }
    Finish(turn_.Finish(status));
  }

  Call call_;
  TurnOfCall turn_;
  grpc::CallbackServerContext& context_;
  v1::ChatResponse* response_;
};

// One write in flight; what arrives meanwhile joins the next one. While a write is in flight the
// reader is in its hand, else in the feed's: so all but OnCancel happens on one thread at a time.
class ChatStreamCall final : public grpc::ServerWriteReactor<v1::ChatStreamEvent>,
                             private chat::FeedReader {
 public:
  ChatStreamCall(Core& core, grpc::CallbackServerContext& context, const v1::ChatRequest& request)
      : call_(core, context, "ChatStream", request.user()),
        turn_(core, call_, *this),
        context_(context) {}

  void Start(const v1::ChatRequest& request) {
    turn_.Start(context_, request, TurnOfCall::Form::kStream, [this](const absl::Status& status) {
      if (!status.ok()) return End(status);
      OnNews();
    });
  }

  void OnWriteDone(bool ok) override {
    if (!ok) client_gone_ = true;
    OnNews();
  }

  void OnCancel() override {
    if (turn_.Cancel()) End(ClientLeft());
  }
  void OnDone() override { delete this; }

 private:
  // A write or an end may lead to OnDone, which deletes this, before it returns.
  void OnNews() override {
    for (;;) {
      switch (turn_.feed().Take(*this, &event_)) {
        case TurnFeed::Next::kWait:
          return;
        case TurnFeed::Next::kEvent:
          if (client_gone_) continue;
          FillEvent();
          return StartWrite(&message_);
        case TurnFeed::Next::kEnd:
          return End(client_gone_ && turn_.feed().result().status.ok()
                         ? ClientLeft()
                         : turn_.feed().result().status);
        case TurnFeed::Next::kLeft:
          return End(ClientLeft());
      }
    }
  }

  void FillEvent() {
    AnswerCacheOnce();
    message_.clear_logprobs();
    message_.set_sequence(event_.sequence);
    switch (event_.kind) {
      case chat::FeedEvent::Kind::kText:
        message_.mutable_delta()->swap(event_.text);
        for (const auto& logprob : event_.logprobs) Fill(logprob, message_.add_logprobs());
        return;
      case chat::FeedEvent::Kind::kReasoning:
        message_.mutable_reasoning()->swap(event_.text);
        return;
      case chat::FeedEvent::Kind::kToolCall:
        Fill(event_.tool_call, message_.mutable_tool_call());
        return;
    }
  }

  void AnswerCacheOnce() {
    if (!std::exchange(is_begun_, true)) AnswerCache(turn_.feed(), context_);
  }

  // Once, when nothing is in flight.
  void End(const absl::Status& end) {
    const grpc::Status status = turn_.Finish(end);
    if (!status.ok()) return Finish(status);
    AnswerCacheOnce();
    message_.Clear();
    FillDone(turn_.feed().result(), turn_.answer_id(), message_.mutable_done());
    message_.set_sequence(turn_.feed().end_sequence());
    StartWriteAndFinish(&message_, grpc::WriteOptions(), status);
  }

  Call call_;
  TurnOfCall turn_;
  grpc::CallbackServerContext& context_;
  chat::FeedEvent event_;
  v1::ChatStreamEvent message_;  // the write in flight
  bool client_gone_ = false;
  bool is_begun_ = false;  // a message was written
};

}  // namespace

grpc::ServerUnaryReactor* StartChat(Core& core, grpc::CallbackServerContext& context,
                                    const v1::ChatRequest& request, v1::ChatResponse* response) {
  auto* call = new ChatCall(core, context, request, response);
  call->Start(request);
  return call;
}

grpc::ServerWriteReactor<v1::ChatStreamEvent>* StartChatStream(Core& core,
                                                               grpc::CallbackServerContext& context,
                                                               const v1::ChatRequest& request) {
  auto* call = new ChatStreamCall(core, context, request);
  call->Start(request);
  return call;
}

}  // namespace aibackend::rpc
