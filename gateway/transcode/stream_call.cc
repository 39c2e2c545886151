#include "gateway/transcode/stream_call.h"

#include <grpcpp/impl/codegen/proto_utils.h>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "gateway/transcode/error.h"
#include "gateway/transcode/json_writer.h"
#include "gateway/transcode/sse.h"

namespace aibackend::gateway {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// The fields of an answer in pieces; null where the message is none.
struct Pieces {
  explicit Pieces(const google::protobuf::Descriptor& type) {
    const auto* oneof = type.FindOneofByName("event");
    const auto* text = type.FindFieldByName("delta");
    const auto* last = type.FindFieldByName("done");
    if (!oneof || !text || !last || text->containing_oneof() != oneof ||
        last->containing_oneof() != oneof || text->type() != FieldDescriptor::TYPE_STRING ||
        !last->message_type())
      return;
    delta = text;
    done = last;
  }
  const FieldDescriptor* delta = nullptr;
  const FieldDescriptor* done = nullptr;
};

// gRPC calls the On… methods one at a time; the heartbeat comes from the connection's I/O thread.
// mutex_ keeps the two apart, as calls for one exchange must not overlap; once complete_ is set the
// heartbeat keeps off, and the answer is finished without the mutex. gRPC queues what StartRead
// leads to, so that may be called under it; a cancel is not.
//
// Keeps itself alive (self_) until OnDone. The hold on the call lasts until the last read, so that
// the next read may be started from wherever the client's socket has room again.
class StreamCall final : public Upstream::StreamReactor {
 public:
  StreamCall(PreparedCall prepared, bool plain_text, const CallOptions& options)
      : prepared_(std::move(prepared)),
        plain_text_(plain_text),
        heartbeat_interval_(options.heartbeat_interval),
        now_(options.now),
        pieces_(*prepared_.route.method->output_type()),
        message_(prepared_.route.response_prototype->New()),
        last_write_(now_()) {}

  static void Start(std::shared_ptr<StreamCall> call, Upstream& upstream);

  void OnReadDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  struct Ending {
    bool begun = false;
    std::optional<std::string> done;
    std::optional<ApiError> error;
  };

  // False: the message can't be read, and the call is to be cancelled.
  bool Forward() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Send(std::string data) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Begin();
  void Finish(const Ending& ending);
  void ReadOn() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ScheduleHeartbeat(absl::Duration delay);
  void Beat();

  std::weak_ptr<StreamCall> weak_;
  std::shared_ptr<StreamCall> self_;  // set by Start, cleared by OnDone
  PreparedCall prepared_;
  const bool plain_text_;
  const absl::Duration heartbeat_interval_;
  const std::function<absl::Time()> now_;
  const Pieces pieces_;
  grpc::ByteBuffer buffer_;  // of the read in flight

  absl::Mutex mutex_;
  std::unique_ptr<Message> message_ ABSL_GUARDED_BY(mutex_);
  std::optional<std::string> done_ ABSL_GUARDED_BY(mutex_);  // held back until the call is OK
  uint64_t events_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time last_write_ ABSL_GUARDED_BY(mutex_);
  bool begun_ ABSL_GUARDED_BY(mutex_) = false;
  bool complete_ ABSL_GUARDED_BY(mutex_) = false;
  bool unreadable_ ABSL_GUARDED_BY(mutex_) = false;
};

void StreamCall::Start(std::shared_ptr<StreamCall> call, Upstream& upstream) {
  StreamCall& self = *call;
  self.weak_ = call;
  self.self_ = call;
  upstream.Stream(self.prepared_.context.get(), self.prepared_.route.grpc_method, &self);
  self.prepared_.exchange->WhenClientGone([weak = self.weak_] {
    if (const auto alive = weak.lock()) alive->prepared_.context->TryCancel();
  });
  if (!self.plain_text_) self.ScheduleHeartbeat(self.heartbeat_interval_);
  self.AddHold();
  self.StartWriteLast(&self.prepared_.request, grpc::WriteOptions());
  self.StartRead(&self.buffer_);
  self.StartCall();
}

void StreamCall::OnReadDone(bool ok) {
  if (!ok) return RemoveHold();
  bool readable = false;
  {
    absl::MutexLock lock(&mutex_);
    readable = Forward();
    unreadable_ = unreadable_ || !readable;
  }
  if (!readable) prepared_.context->TryCancel();
  absl::MutexLock lock(&mutex_);
  ReadOn();
}

void StreamCall::ReadOn() {
  if (prepared_.exchange->pending_bytes() <= kPendingBytesMax) return StartRead(&buffer_);
  // Half of it, so that a reader at the limit isn't woken for every event. The hold keeps the call,
  // and with it this object, until this read is done; it runs too when the client is gone.
  prepared_.exchange->WhenPendingAtMost(kPendingBytesMax / 2, [this] { StartRead(&buffer_); });
}

bool StreamCall::Forward() {
  message_->Clear();
  if (!grpc::SerializationTraits<Message>::Deserialize(&buffer_, message_.get()).ok()) return false;
  const auto& reflection = *message_->GetReflection();
  if (pieces_.done && reflection.HasField(*message_, pieces_.done)) {
    done_ = MessageToJson(reflection.GetMessage(*message_, pieces_.done));
    return done_.has_value();
  }
  if (pieces_.delta && reflection.HasField(*message_, pieces_.delta)) {
    std::string scratch;
    const std::string& delta = reflection.GetStringReference(*message_, pieces_.delta, &scratch);
    Send(plain_text_ ? delta : SseDelta(++events_, delta));
    return true;
  }
  const auto json = MessageToJson(*message_);
  if (json) Send(plain_text_ ? *json + "\n" : SseData(++events_, *json));
  return json.has_value();
}

void StreamCall::Begin() {
  prepared_.exchange->Begin(prepared_.route.success_status,
                            plain_text_ ? HeaderList{{"Content-Type", "text/plain; charset=utf-8"},
                                                     {"Cache-Control", "no-cache"},
                                                     {"X-Accel-Buffering", "no"}}
                                        : SseHeaders());
}

void StreamCall::Send(std::string data) {
  if (!begun_) Begin();
  begun_ = true;
  last_write_ = now_();
  if (!data.empty()) prepared_.exchange->Write(std::move(data));
}

void StreamCall::OnDone(const grpc::Status& status) {
  const auto self = std::move(self_);
  Ending ending;
  {
    absl::MutexLock lock(&mutex_);
    complete_ = true;
    ending = {begun_, std::move(done_), {}};
    if (unreadable_) {
      ending.error = MakeApiError(Reason::INTERNAL, "the server's answer could not be read");
    } else if (!status.ok()) {
      ending.error = ApiErrorOf(status);
    } else if (pieces_.done && !ending.done) {
      ending.error = MakeApiError(Reason::INTERRUPTED, "the answer stopped before its end");
    }
  }
  Finish(ending);
}

void StreamCall::Finish(const Ending& ending) {
  Exchange& exchange = *prepared_.exchange;
  if (!ending.error) {
    if (!ending.begun) Begin();
    if (!plain_text_) exchange.Write(SseNamed("done", ending.done.value_or("{}")));
    return exchange.End();
  }
  if (!ending.begun) return RespondError(exchange, *ending.error, prepared_.request_id);
  if (plain_text_) return exchange.Abort();
  exchange.Write(SseNamed("error", ErrorJson(*ending.error, prepared_.request_id)));
  exchange.End();
}

void StreamCall::ScheduleHeartbeat(absl::Duration delay) {
  prepared_.exchange->After(delay, [weak = weak_] {
    if (const auto alive = weak.lock()) alive->Beat();
  });
}

void StreamCall::Beat() {
  absl::MutexLock lock(&mutex_);
  if (complete_) return;
  const absl::Duration silence = now_() - last_write_;
  if (silence < heartbeat_interval_) return ScheduleHeartbeat(heartbeat_interval_ - silence);
  // A client that has not taken what it was sent needs no more to take.
  if (!begun_ || prepared_.exchange->pending_bytes() == 0) Send(kSseHeartbeat);
  ScheduleHeartbeat(heartbeat_interval_);
}

}  // namespace

void StartStreamCall(PreparedCall prepared, bool plain_text, const CallOptions& options,
                     Upstream& upstream) {
  StreamCall::Start(std::make_shared<StreamCall>(std::move(prepared), plain_text, options),
                    upstream);
}

}  // namespace aibackend::gateway
