// The loop's side of a connection: reading, closing, deadlines and callbacks. The answer's side is
// in connection_answer.cc.
#include "gateway/http/connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "gateway/http/exchange.h"

namespace aibackend::gateway::http {
namespace {

// Fairness: after so much work the loop's other connections have their turn.
constexpr int kStepsPerTurnMax = 32;
// The next pipelined request waits while more than this of the answers before it is unsent.
constexpr size_t kUnsentToReadOnMax = 64 * 1024;
// After a last answer the client's bytes are read and thrown away for a moment: closing with bytes
// unread would reset the connection, and the client might lose the answer (RFC 9112, 9.6).
constexpr absl::Duration kLingerMax = absl::Seconds(2);
constexpr size_t kLingerBytesMax = 16 * 1024 * 1024;

bool Passed(Ticks since, absl::Duration limit, Ticks now) {
  return absl::Nanoseconds(now - since) > limit;
}

}  // namespace

Connection::Connection(int socket, Peer peer, std::shared_ptr<EdgeContext> context,
                       std::shared_ptr<IoLoop> loop)
    : socket_(socket),
      peer_(std::move(peer)),
      context_(std::move(context)),
      loop_(std::move(loop)),
      reader_(context_->options, context_->bodies),
      moved_at_(NowTicks()) {
  context_->open.Add();
}

Connection::~Connection() {
  MutexLock lock(mutex_);
  if (!socket_open_) return;  // Close() has done this
  close(socket_);
  context_->open.Remove();
}

void Connection::Open(MaybeRefused refused) {
  if (!loop_->Add(socket_, shared_from_this()).ok()) return Close(/*reset=*/false);
  joined_ = true;
  if (refused) Refuse(*refused);
  Settle();
}

void Connection::OnEvents(uint32_t events) {
  {
    MutexLock lock(mutex_);
    if (!socket_open_) return;
    if ((events & EPOLLERR) != 0) broken_ = true;
    if ((events & (EPOLLRDHUP | EPOLLHUP)) != 0) peer_closed_ = true;
    if ((events & EPOLLIN) != 0) readable_ = true;
    if ((events & EPOLLOUT) != 0) {
      blocked_ = false;
      Flush();
    }
  }
  Settle();
}

// Does what the connection's state asks for until it asks for nothing.
void Connection::Settle() {
  settling_ = true;
  for (int steps = 0; steps < kStepsPerTurnMax; ++steps) {
    RunCallbacks();
    const Step step = NextStep();
    if (step == Step::kRead) {
      TryReadAndServe();
      continue;
    }
    if (step == Step::kLinger) Linger();
    if (step == Step::kClose || step == Step::kReset) Close(step == Step::kReset);
    settling_ = false;
    return;
  }
  settling_ = false;
  PostSettle();
}

Connection::Step Connection::NextStep() {
  MutexLock lock(mutex_);
  if (!socket_open_) return Step::kWait;
  if (aborted_ || broken_) return Step::kReset;
  if (expired_) return Step::kClose;
  if (answer_.open) return peer_closed_ ? Step::kReset : Step::kWait;
  if (close_when_sent_) return output_.empty() ? Step::kLinger : Step::kWait;
  if (output_.bytes() > kUnsentToReadOnMax) return Step::kWait;
  if (has_unread_ || readable_) return Step::kRead;
  if (!output_.empty()) return Step::kWait;
  const bool idle = reader_.state() == RequestReader::State::kIdle;
  if (peer_closed_ || (idle && context_->draining)) return Step::kClose;
  return Step::kWait;
}

void Connection::TryReadAndServe() {
  try {
    ReadAndServe();
  } catch (...) {  // out of memory, say: this connection's loss, not the loop's
    MutexLock lock(mutex_);
    broken_ = true;
  }
}

// Feeds the reader from what is left over, or from the socket, and acts on what comes of it.
void Connection::ReadAndServe() {
  std::string_view bytes = std::string_view(unread_).substr(unread_offset_);
  const bool fresh = bytes.empty();
  if (fresh) bytes = {loop_->scratch(), Receive()};
  if (bytes.empty()) return;
  if (reader_.state() == RequestReader::State::kIdle) request_since_ = NowTicks();
  const size_t used = reader_.Feed(bytes);
  if (fresh) {
    unread_.assign(bytes.substr(used));
    unread_offset_ = 0;
  } else {
    unread_offset_ += used;
  }
  const bool has_unread = unread_offset_ < unread_.size();
  if (!has_unread) {
    unread_ = {};
    unread_offset_ = 0;
  }
  {
    MutexLock lock(mutex_);
    has_unread_ = has_unread;
    if (reader_.TakeContinue()) Send("HTTP/1.1 100 Continue\r\n\r\n");
  }
  if (reader_.state() == RequestReader::State::kRefused) {
    Refuse(Refused(reader_.refused()));
  } else if (reader_.state() == RequestReader::State::kComplete) {
    Serve();
  }
}

// Fills the loop's scratch buffer; 0 if there is nothing, or no more to come.
size_t Connection::Receive() {
  ssize_t received = 0;
  do {
    received = recv(socket_, loop_->scratch(), IoLoop::kScratchBytes, MSG_DONTWAIT);
  } while (received < 0 && errno == EINTR);
  const bool failed = received < 0 && errno != EAGAIN && errno != EWOULDBLOCK;
  MutexLock lock(mutex_);
  // Less than asked for: it is all there was, and more is another edge (epoll(7)).
  readable_ = received == static_cast<ssize_t>(IoLoop::kScratchBytes);
  if (received == 0) peer_closed_ = true;
  if (failed) broken_ = true;
  return received > 0 ? static_cast<size_t>(received) : 0;
}

void Connection::Serve() {
  httplib::Request request;
  const bool http10 = reader_.head().http10;
  const bool keep_alive = reader_.plan().keep_alive;
  if (auto refused = context_->parser.Parse(&reader_.head(), reader_.TakeBody(), peer_, &request)) {
    return Refuse(*refused);
  }
  ByteBudget::Share share = reader_.TakeShare();
  reader_.Reset();
  context_->requests.fetch_add(1, std::memory_order_relaxed);
  Number number = 0;
  {
    MutexLock lock(mutex_);
    number = answer_.number + 1;
    answer_ = Answer();
    answer_.number = number;
    answer_.open = true;
    answer_.head_request = request.method == "HEAD";
    answer_.http10 = http10;
    answer_.keep_alive = keep_alive;
  }
  try {
    context_->handler(std::make_shared<ConnectionExchange>(shared_from_this(), number,
                                                           std::move(request), std::move(share)));
  } catch (...) {
    // The exchange was dropped on the way out, which answers it.
  }
}

void Connection::Refuse(const Refused& refused) {
  context_->refusals.fetch_add(1, std::memory_order_relaxed);
  auto [headers, body] = context_->RefusalAnswer(refused);
  MutexLock lock(mutex_);
  SendWhole(StatusOf(refused.why), headers, std::move(body),
            /*head_request=*/false, /*http10=*/false, /*keep_alive=*/false);
}

void Connection::Linger() {
  if (lingering_since_ == 0) {
    lingering_since_ = NowTicks();
    shutdown(socket_, SHUT_WR);
    unread_ = {};
    unread_offset_ = 0;
  }
  for (int reads = 0; reads < kStepsPerTurnMax; ++reads) {
    const size_t received = Receive();
    lingered_bytes_ += received;
    if (lingered_bytes_ > kLingerBytesMax) return Close(/*reset=*/false);
    MutexLock lock(mutex_);
    if (readable_) continue;
    if (received > 0 && !peer_closed_) return;
    if (!peer_closed_ && !broken_) return;
    break;
  }
  bool more = false;
  {
    MutexLock lock(mutex_);
    more = readable_;
  }
  if (more) return PostSettle();
  Close(/*reset=*/false);
}

// The end of the socket. An answer that is still open has lost its client.
void Connection::Close(bool reset) {
  {
    MutexLock lock(mutex_);
    if (!socket_open_) return;
    // With bytes unsent a plain close could still look like a complete answer to HTTP/1.0.
    if (reset || !output_.empty() || answer_.open) {
      const linger now{1, 0};
      setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    }
    socket_open_ = false;
    output_.Clear();
    close(socket_);  // leaves epoll by itself
  }
  RunCallbacks();
  if (joined_) loop_->Remove(this);
  context_->open.Remove();
}

void Connection::OnSweep(Ticks now) {
  const EdgeOptions& options = context_->options;
  const RequestReader::State reading = reader_.state();
  bool late = false;
  {
    MutexLock lock(mutex_);
    if (!output_.empty()) {
      if (Passed(moved_at_, options.stall_timeout, now)) broken_ = true;
    } else if (answer_.open) {
      return;
    } else if (lingering_since_ != 0) {
      expired_ = Passed(lingering_since_, kLingerMax, now);
    } else if (reading == RequestReader::State::kIdle) {
      expired_ = Passed(moved_at_, options.idle_timeout, now);
    } else {
      late = !close_when_sent_ && Passed(request_since_, options.request_deadline, now);
    }
    if (!broken_ && !expired_ && !late) return;
  }
  if (late) Refuse({Refusal::kTimeout, "the request took too long to arrive"});
  Settle();
}

void Connection::OnAbort() {
  {
    MutexLock lock(mutex_);
    aborted_ = true;
  }
  Settle();
}

void Connection::RunCallbacks() {
  Callback callback;
  while (TakeCallback(&callback)) RunTaken(std::move(callback));
}

// The next callback that is due, marked as running.
bool Connection::TakeCallback(Callback* callback) {
  std::vector<std::pair<uint64_t, Callback>> timers;  // destroyed after the lock
  MutexLock lock(mutex_);
  if (!answer_.open) return false;
  if (!socket_open_) timers.swap(answer_.timers);
  if (!socket_open_ && answer_.on_gone) {
    *callback = std::exchange(answer_.on_gone, nullptr);
  } else if (answer_.on_pending && (!socket_open_ || output_.bytes() <= answer_.pending_at_most)) {
    *callback = std::exchange(answer_.on_pending, nullptr);
  } else {
    return false;
  }
  callback_of_ = answer_.number;
  return true;
}

void Connection::RunTimer(Number number, uint64_t timer) {
  Callback callback;
  {
    MutexLock lock(mutex_);
    if (!IsOpen(number) || Gone()) return;
    const auto found = std::find_if(answer_.timers.begin(), answer_.timers.end(),
                                    [timer](const auto& entry) { return entry.first == timer; });
    if (found == answer_.timers.end()) return;
    callback = std::move(found->second);
    answer_.timers.erase(found);
    callback_of_ = number;
  }
  RunTaken(std::move(callback));
  Settle();
}

void Connection::RunTaken(Callback callback) {
  try {
    callback();
  } catch (...) {
    // Its exchange is still open; whoever holds it may end it, and dropping it answers.
  }
  callback = nullptr;
  MutexLock lock(mutex_);
  callback_of_ = 0;
  callback_done_.SignalAll();
}

void Connection::PostSettle() {
  loop_->Post([self = shared_from_this()] { self->Settle(); });
}

}  // namespace aibackend::gateway::http
