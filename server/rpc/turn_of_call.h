// A chat call's way to the turn that answers it: one of its own, or, with an idempotency-key, one
// that others may share and that goes on without them.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/optional.h"
#include "aibackend/v1/chat.pb.h"
#include "server/chat/keyed_turns.h"
#include "server/chat/turn_feed.h"
#include "server/rpc/call.h"

namespace aibackend::rpc {

// Start, then `ready`, then feed() until it says kEnd or kLeft, then Finish. Cancel comes whenever
// it likes.
class TurnOfCall {
 public:
  enum class Form { kWhole, kStream };

  TurnOfCall(Core& core, Call& call, chat::FeedReader& reader)
      : core_(core), call_(call), reader_(reader) {}

  // Opens the call's ledger row, with the question as the guardrails leave it: without, where it is
  // refused before they have seen it. `request` lives until Finish. `ready` is called once, inside
  // Start or later on another thread: with OK `reader` is attached to feed(), else the call ends
  // with that status.
  void Start(const grpc::CallbackServerContext& context, const v1::ChatRequest& request, Form form,
             std::function<void(absl::Status)> ready);

  // The client left. A turn of the call's own is cancelled at once, and its end is awaited; a
  // shared one is left. True: `reader` was waiting and isn't any more, so the call is to be
  // finished, as after kLeft.
  bool Cancel();

  chat::TurnFeed& feed() { return *feed_; }
  // Of the request that began the turn: the id of its answer.
  const std::string& answer_id() const { return answer_id_; }

  // Accounts for the turn as far as it is this call's, and finishes the call.
  grpc::Status Finish(const absl::Status& status);

 private:
  enum class Part { kNone, kOwner, kFirst, kReplay };

  struct Asked {
    chat::TurnRequest turn;
    absl::optional<std::string> key;
    absl::optional<int64_t> after;
  };

  void Record(const v1::ChatRequest& request);
  void RecordGuarded(const chat::TurnRequest& turn, const absl::Status& status);
  absl::StatusOr<Asked> Check(const grpc::CallbackServerContext& context,
                              const v1::ChatRequest& request, Form form);
  void Begin(Asked asked, const v1::ChatRequest& request, Form form,
             std::function<void(absl::Status)> ready);
  std::function<absl::Status(const models::ModelInfo&, models::GenerateRequest&)> Reserving() const;
  absl::Status StartOwn(chat::TurnRequest turn, Form form);
  void AskKeyed(std::string key, absl::optional<int64_t> after, const v1::ChatRequest& request,
                chat::TurnRequest turn, Form form, std::function<void(absl::Status)> ready);
  absl::Status Sit(absl::StatusOr<chat::KeyedTurns::Seat> seat, int64_t after, Form form);

  Core& core_;
  Call& call_;
  chat::FeedReader& reader_;

  absl::Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<chat::Turn> turn_ ABSL_GUARDED_BY(mutex_);  // of the call's own
  // Set under the mutex, before `ready`; then they don't change.
  Part part_ = Part::kNone;
  std::shared_ptr<chat::TurnFeed> feed_;
  std::string answer_id_;
  bool from_start_ = true;  // the client gets the whole answer
  std::shared_ptr<void> hold_;
};

}  // namespace aibackend::rpc
