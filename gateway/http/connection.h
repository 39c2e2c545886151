// One client's connection: it reads requests on its loop's thread, hands out an Exchange for each,
// and sends the answers, which come from any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "gateway/http/edge_context.h"
#include "gateway/http/io_loop.h"
#include "gateway/http/mutex.h"
#include "gateway/http/output_queue.h"
#include "gateway/http/request_reader.h"

namespace aibackend::gateway::http {

// Owns its socket. Shared by its loop, until the socket is closed, and by its exchanges.
//
// One exchange at a time is open: answers leave in the order of the requests. Its answer's calls
// carry the number of the exchange; those of one that is complete do nothing.
class Connection final : public LoopClient, public std::enable_shared_from_this<Connection> {
 public:
  using Callback = std::function<void()>;
  using Number = uint64_t;

  Connection(int socket, Peer peer, std::shared_ptr<EdgeContext> context,
             std::shared_ptr<IoLoop> loop);
  ~Connection() override;

  // ---- on the loop's thread

  // Joins the loop; a connection that is one too many is refused at once.
  void Open(MaybeRefused refused);
  void OnEvents(uint32_t events) override;
  void OnSweep(Ticks now) override;
  void OnDrain() override { Settle(); }
  void OnAbort() override;

  // ---- for the Exchange, from any thread; Exchange says what each does

  void Respond(Number number, int status, const HeaderList& headers, std::string body);
  void Begin(Number number, int status, const HeaderList& headers);
  bool Write(Number number, std::string data);
  void End(Number number);
  void Abort(Number number);
  void Drop(Number number);  // the Exchange is destroyed
  size_t PendingBytes(Number number) const;
  void WhenPendingAtMost(Number number, size_t bytes, Callback callback);
  void WhenClientGone(Number number, Callback callback);
  bool ClientGone(Number number) const;
  void After(Number number, absl::Duration delay, Callback callback);

 private:
  enum class Step { kWait, kRead, kLinger, kClose, kReset };

  // The answer of the current exchange.
  struct Answer {
    Number number = 0;
    bool open = false;  // its request is handed out and it isn't complete
    bool begun = false;
    bool head_request = false;
    bool http10 = false;
    bool keep_alive = false;
    bool chunked = false;   // once begun
    bool bodiless = false;  // once begun
    size_t pending_at_most = 0;
    Callback on_pending;
    Callback on_gone;
    uint64_t timers_made = 0;
    std::vector<std::pair<uint64_t, Callback>> timers;
  };

  // The loop's thread.
  void Settle();
  Step NextStep();
  void TryReadAndServe();
  void ReadAndServe();
  size_t Receive();
  void Serve();
  void Refuse(const Refused& refused);
  void Linger();
  void Close(bool reset);
  void RunCallbacks();
  bool TakeCallback(Callback* callback);
  void RunTimer(Number number, uint64_t timer);
  void RunTaken(Callback callback);

  // Any thread.
  bool IsOpen(Number number) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return answer_.open && answer_.number == number;
  }
  bool Gone() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !socket_open_ || broken_ || peer_closed_;
  }
  void Send(std::string bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Flush() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendWhole(int status, const HeaderList& headers, std::string body, bool head_request,
                 bool http10, bool keep_alive) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Closes the exchange; the returned answer's callbacks are to be destroyed after the lock.
  Answer Complete(Number number) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool NeedsLoop() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void PostSettle();

  const int socket_;
  const Peer peer_;
  const std::shared_ptr<EdgeContext> context_;
  const std::shared_ptr<IoLoop> loop_;

  // The loop's thread only.
  RequestReader reader_;
  std::string unread_;  // received beyond the current request; at most a scratch buffer
  size_t unread_offset_ = 0;
  Ticks request_since_ = 0;  // when the first byte of the request being read came
  Ticks lingering_since_ = 0;
  size_t lingered_bytes_ = 0;
  bool settling_ = false;
  bool joined_ = false;

  mutable Mutex mutex_;
  CondVar callback_done_;
  bool socket_open_ ABSL_GUARDED_BY(mutex_) = true;
  bool readable_ ABSL_GUARDED_BY(mutex_) = false;     // there may be bytes to receive
  bool has_unread_ ABSL_GUARDED_BY(mutex_) = false;   // mirrors unread_
  bool peer_closed_ ABSL_GUARDED_BY(mutex_) = false;  // its sending side
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;       // an error on the socket
  bool expired_ ABSL_GUARDED_BY(mutex_) = false;      // idle or lingering for too long
  bool aborted_ ABSL_GUARDED_BY(mutex_) = false;
  bool blocked_ ABSL_GUARDED_BY(mutex_) = false;  // the socket takes no more for now
  bool close_when_sent_ ABSL_GUARDED_BY(mutex_) = false;
  OutputQueue output_ ABSL_GUARDED_BY(mutex_);
  Ticks moved_at_ ABSL_GUARDED_BY(mutex_) = 0;      // the last answer's end, or output's progress
  Number callback_of_ ABSL_GUARDED_BY(mutex_) = 0;  // whose callback is running; 0: none
  Answer answer_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace aibackend::gateway::http
