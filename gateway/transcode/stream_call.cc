#include "gateway/transcode/stream_call.h"

#include <grpcpp/impl/codegen/proto_utils.h>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "gateway/transcode/error.h"
#include "gateway/transcode/metadata.h"

namespace aibackend::gateway {
namespace {

using google::protobuf::Message;

// gRPC calls the On… methods one at a time; the heartbeat comes from the connection's I/O thread.
// mutex_ keeps the two apart, as calls for one exchange must not overlap; once complete_ is set the
// heartbeat keeps off, and the answer is finished without the mutex. gRPC queues what StartRead
// leads to, so that may be called under it; a cancel is not.
//
// Keeps itself alive (self_) until OnDone. The hold on the call lasts until the last read, so that
// the next read may be started from wherever the client's socket has room again.
class StreamCall final : public Upstream::StreamReactor {
 public:
  StreamCall(PreparedCall prepared, std::unique_ptr<StreamFormat> format,
             const CallOptions& options)
      : prepared_(std::move(prepared)),
        format_(std::move(format)),
        heartbeat_interval_(options.heartbeat_interval),
        now_(options.now),
        message_(prepared_.route.response_prototype->New()),
        last_write_(now_()) {}

  static void Start(std::shared_ptr<StreamCall> call, Upstream& upstream);

  void OnReadInitialMetadataDone(bool ok) override;
  void OnReadDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  // False: the message can't be read, and the call is to be cancelled.
  bool Forward() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Send(std::string data) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Begin(HeaderList headers);
  void Finish(bool begun, HeaderList headers, const std::optional<ApiError>& error);
  void ReadOn() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ScheduleHeartbeat(absl::Duration delay);
  void Beat();

  std::weak_ptr<StreamCall> weak_;
  std::shared_ptr<StreamCall> self_;  // set by Start, cleared by OnDone
  PreparedCall prepared_;
  const std::unique_ptr<StreamFormat> format_;  // guarded by mutex_ until complete_
  const absl::Duration heartbeat_interval_;
  const std::function<absl::Time()> now_;
  grpc::ByteBuffer buffer_;  // of the read in flight

  absl::Mutex mutex_;
  std::unique_ptr<Message> message_ ABSL_GUARDED_BY(mutex_);
  absl::Time last_write_ ABSL_GUARDED_BY(mutex_);
  // The server's, once they are there: a heartbeat may begin the answer without them.
  HeaderList headers_ ABSL_GUARDED_BY(mutex_);
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
  if (!self.format_->Heartbeat().empty()) self.ScheduleHeartbeat(self.heartbeat_interval_);
  self.AddHold();
  self.StartWriteLast(&self.prepared_.request, grpc::WriteOptions());
  self.StartRead(&self.buffer_);
  self.StartCall();
}

void StreamCall::OnReadInitialMetadataDone(bool ok) {
  if (!ok) return;
  absl::MutexLock lock(&mutex_);
  headers_ = AnswerHeaders(prepared_.context->GetServerInitialMetadata());
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
  auto bytes = format_->Event(*message_);
  if (!bytes) return false;
  if (!bytes->empty()) Send(*std::move(bytes));
  return true;
}

void StreamCall::Begin(HeaderList headers) {
  HttpAnswer head = format_->Head();
  for (auto& header : headers) head.headers.push_back(std::move(header));
  prepared_.exchange->Begin(head.status, std::move(head.headers));
}

void StreamCall::Send(std::string data) {
  if (!begun_) Begin(std::move(headers_));
  begun_ = true;
  last_write_ = now_();
  prepared_.exchange->Write(std::move(data));
}

void StreamCall::OnDone(const grpc::Status& status) {
  const auto self = std::move(self_);
  bool begun = false;
  HeaderList headers;
  std::optional<ApiError> error;
  {
    absl::MutexLock lock(&mutex_);
    complete_ = true;
    begun = begun_;
    headers = std::move(headers_);
    if (unreadable_)
      error = MakeApiError(Reason::INTERNAL, "the server's answer could not be read");
  }
  if (!error && !status.ok()) error = ApiErrorOf(status);
  Finish(begun, std::move(headers), error);
}

void StreamCall::Finish(bool begun, HeaderList headers, const std::optional<ApiError>& error) {
  Exchange& exchange = *prepared_.exchange;
  if (!error) {
    auto end = format_->End();
    if (!end)
      return Finish(begun, std::move(headers),
                    MakeApiError(Reason::INTERRUPTED, "the answer stopped before its end"));
    if (!begun) Begin(std::move(headers));
    if (!end->empty()) exchange.Write(*std::move(end));
    return exchange.End();
  }
  if (!begun) {
    HttpAnswer answer = format_->Error(*error, prepared_.request_id);
    for (auto& header : headers) answer.headers.push_back(std::move(header));
    return exchange.Respond(answer.status, std::move(answer.headers), std::move(answer.body));
  }
  auto event = format_->ErrorEvent(*error, prepared_.request_id);
  if (!event) return exchange.Abort();
  exchange.Write(*std::move(event));
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
  if (!begun_ || prepared_.exchange->pending_bytes() == 0) Send(std::string(format_->Heartbeat()));
  ScheduleHeartbeat(heartbeat_interval_);
}

}  // namespace

void StartStreamCall(PreparedCall prepared, std::unique_ptr<StreamFormat> format,
                     const CallOptions& options, Upstream& upstream) {
  StreamCall::Start(std::make_shared<StreamCall>(std::move(prepared), std::move(format), options),
                    upstream);
}

}  // namespace aibackend::gateway
