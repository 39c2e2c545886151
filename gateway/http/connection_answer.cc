// The answer's side of a connection: what the Exchange calls, from any thread.
#include <array>
#include <charconv>

#include "gateway/http/connection.h"

namespace aibackend::gateway::http {
namespace {

// One chunk of a chunked answer (RFC 9112, 7.1).
std::string ChunkOf(const std::string& data) {
  std::array<char, 16> size{};
  const auto end = std::to_chars(size.data(), size.data() + size.size(), data.size(), 16);
  std::string chunk;
  chunk.reserve(data.size() + 20);
  chunk.append(size.data(), end.ptr).append("\r\n").append(data).append("\r\n");
  return chunk;
}

}  // namespace

void Connection::Respond(Number number, int status, const HeaderList& headers, std::string body) {
  Answer done;
  bool settle = false;
  {
    MutexLock lock(mutex_);
    if (!IsOpen(number) || answer_.begun) return;
    const bool keep_alive = answer_.keep_alive && !context_->draining;
    SendWhole(status, headers, std::move(body), answer_.head_request, answer_.http10, keep_alive);
    done = Complete(number);
    settle = NeedsLoop();
  }
  if (settle) PostSettle();
}

void Connection::SendWhole(int status, const HeaderList& headers, std::string body,
                           bool head_request, bool http10, bool keep_alive) {
  constexpr size_t kJoinBytesMax = 16 * 1024;  // below this one string is cheaper than two
  Framing framing;
  framing.close = !keep_alive;
  framing.keep_alive = keep_alive && http10;
  if (StatusHasBody(status)) framing.content_length = body.size();
  std::string head = SerializeHead(status, headers, framing, context_->dates.Now());
  if (!keep_alive) close_when_sent_ = true;
  if (head_request || !StatusHasBody(status)) return Send(std::move(head));
  if (body.size() <= kJoinBytesMax) return Send(head.append(body));
  if (output_.empty()) moved_at_ = NowTicks();
  output_.Append(std::move(head));
  Send(std::move(body));
}

void Connection::Begin(Number number, int status, const HeaderList& headers) {
  bool settle = false;
  {
    MutexLock lock(mutex_);
    if (!IsOpen(number) || answer_.begun) return;
    answer_.begun = true;
    answer_.bodiless = answer_.head_request || !StatusHasBody(status);
    answer_.chunked = !answer_.http10 && StatusHasBody(status);
    // Without chunks only the connection's end says where the answer ends.
    const bool until_close = answer_.http10 && !answer_.bodiless;
    answer_.keep_alive = answer_.keep_alive && !until_close && !context_->draining;
    Framing framing;
    framing.chunked = answer_.chunked;
    framing.close = !answer_.keep_alive;
    framing.keep_alive = answer_.keep_alive && answer_.http10;
    Send(SerializeHead(status, headers, framing, context_->dates.Now()));
    settle = broken_;
  }
  if (settle) PostSettle();
}

bool Connection::Write(Number number, std::string data) {
  bool gone = false;
  bool settle = false;
  {
    MutexLock lock(mutex_);
    if (!IsOpen(number) || !answer_.begun) return false;
    if (!Gone() && !answer_.bodiless && !data.empty()) {
      Send(answer_.chunked ? ChunkOf(data) : std::move(data));
      settle = broken_;
    }
    gone = Gone();
  }
  if (settle) PostSettle();
  return !gone;
}

void Connection::End(Number number) {
  Answer done;
  bool settle = false;
  {
    MutexLock lock(mutex_);
    if (!IsOpen(number) || !answer_.begun) return;
    if (!answer_.keep_alive) close_when_sent_ = true;
    if (answer_.chunked && !answer_.bodiless) Send("0\r\n\r\n");
    done = Complete(number);
    settle = NeedsLoop();
  }
  if (settle) PostSettle();
}

void Connection::Abort(Number number) {
  Answer done;
  {
    MutexLock lock(mutex_);
    if (!IsOpen(number)) return;
    aborted_ = true;
    done = Complete(number);
  }
  PostSettle();
}

void Connection::Drop(Number number) {
  bool begun = false;
  {
    MutexLock lock(mutex_);
    if (!IsOpen(number)) return;
    begun = answer_.begun;
  }
  if (begun) return Abort(number);
  const Refused refused{Refusal::kUnanswered, "the request was not answered"};
  auto [headers, body] = context_->RefusalAnswer(refused);
  Respond(number, StatusOf(refused.why), headers, std::move(body));
}

Connection::Answer Connection::Complete(Number number) {
  answer_.open = false;
  moved_at_ = NowTicks();
  Answer done = std::move(answer_);
  answer_ = Answer();
  answer_.number = number;
  // No callback of the exchange may run once this has returned, except the one that is calling.
  while (callback_of_ == number && !loop_->InLoopThread()) callback_done_.Wait(mutex_);
  return done;
}

// After an answer: is there something that only the loop can do, and that no event will bring?
bool Connection::NeedsLoop() const {
  if (loop_->InLoopThread() && settling_) return false;
  return socket_open_ && (readable_ || has_unread_ || peer_closed_ || broken_ || close_when_sent_ ||
                          context_->draining);
}

size_t Connection::PendingBytes(Number number) const {
  MutexLock lock(mutex_);
  return answer_.number == number ? output_.bytes() : 0;
}

void Connection::WhenPendingAtMost(Number number, size_t bytes, Callback callback) {
  {
    MutexLock lock(mutex_);
    if (!IsOpen(number)) return;
    const bool due = output_.bytes() <= bytes || !socket_open_;
    // From within a callback it waits for that one's end, so that no recursion builds up.
    const bool in_callback = callback_of_ == number && loop_->InLoopThread();
    if (!due || in_callback) {
      answer_.pending_at_most = bytes;
      answer_.on_pending.swap(callback);
      return;
    }
  }
  callback();
}

void Connection::WhenClientGone(Number number, Callback callback) {
  bool settle = false;
  {
    MutexLock lock(mutex_);
    if (!IsOpen(number)) return;
    answer_.on_gone.swap(callback);
    settle = !socket_open_;
  }
  if (settle) PostSettle();
}

bool Connection::ClientGone(Number number) const {
  MutexLock lock(mutex_);
  return IsOpen(number) && Gone();
}

void Connection::After(Number number, absl::Duration delay, Callback callback) {
  uint64_t timer = 0;
  {
    MutexLock lock(mutex_);
    if (!IsOpen(number) || Gone()) return;
    timer = ++answer_.timers_made;
    answer_.timers.emplace_back(timer, std::move(callback));
  }
  loop_->AddTimer(delay, [weak = weak_from_this(), number, timer] {
    if (auto self = weak.lock()) self->RunTimer(number, timer);
  });
}

// Sends at once if nothing waits; else it waits its turn.
void Connection::Send(std::string bytes) {
  if (!socket_open_ || broken_) return;
  if (output_.empty()) moved_at_ = NowTicks();
  output_.Append(std::move(bytes));
  if (!blocked_) Flush();
}

void Connection::Flush() {
  if (!socket_open_ || broken_) return;
  size_t sent = 0;
  const OutputQueue::Sent result = output_.SendTo(socket_, &sent);
  blocked_ = result == OutputQueue::Sent::kBlocked;
  if (sent > 0 && blocked_) moved_at_ = NowTicks();
  if (result == OutputQueue::Sent::kFailed) {
    broken_ = true;
    output_.Clear();
  }
}

}  // namespace aibackend::gateway::http
