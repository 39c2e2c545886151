#include "gateway/http/edge.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "gateway/http/acceptor.h"
#include "gateway/http/connection.h"
#include "gateway/http/edge_context.h"
#include "gateway/http/io_loop.h"
#include "gateway/http/mutex.h"

namespace aibackend::gateway {
namespace {

// Connections above the limit that are being told so. Above this they are closed without a word.
constexpr size_t kTurnedAwayMax = 256;

// Often enough to notice the shortest deadline within a quarter of it, at most once a second.
absl::Duration SweepEvery(const EdgeOptions& options) {
  const absl::Duration shortest =
      std::min({options.request_deadline, options.idle_timeout, options.stall_timeout});
  return std::clamp(shortest / 4, absl::Milliseconds(10), absl::Seconds(1));
}

class EventedEdge final : public Edge {
 public:
  EventedEdge(std::unique_ptr<http::Acceptor> acceptor,
              std::vector<std::shared_ptr<http::IoLoop>> loops,
              std::shared_ptr<http::EdgeContext> context)
      : acceptor_(std::move(acceptor)), loops_(std::move(loops)), context_(std::move(context)) {
    for (const auto& loop : loops_) loop->Start();
    acceptor_->Start([this](int socket, http::Peer peer) { Take(socket, std::move(peer)); });
  }

  ~EventedEdge() override { Stop(absl::ZeroDuration()); }

  int port() const override { return acceptor_->port(); }

  EdgeStats stats() const override {
    EdgeStats stats;
    stats.connections_open = context_->open.count();
    stats.connections_accepted = context_->accepted;
    stats.requests = context_->requests;
    stats.refusals = context_->refusals;
    return stats;
  }

  void Stop(absl::Duration grace) override {
    http::MutexLock lock(stop_mutex_);
    if (stopped_) return;
    stopped_ = true;
    acceptor_->Stop();
    context_->draining = true;
    PostToClients(&http::LoopClient::OnDrain);
    if (grace > absl::Hours(24)) grace = absl::Hours(24);  // what the clock can add
    const auto deadline = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(grace);
    if (!context_->open.WaitForNone(deadline)) {
      PostToClients(&http::LoopClient::OnAbort);
      context_->open.WaitForNone(std::nullopt);
    }
    for (const auto& loop : loops_) loop->Stop();
  }

 private:
  // On the acceptor's thread.
  void Take(int socket, http::Peer peer) {
    context_->accepted.fetch_add(1, std::memory_order_relaxed);
    const size_t open = context_->open.count();
    const auto& loop = loops_[next_loop_++ % loops_.size()];
    auto connection = std::make_shared<http::Connection>(socket, std::move(peer), context_, loop);
    const size_t limit = context_->options.connections_max;
    if (open >= limit + kTurnedAwayMax) return;  // its end closes the socket
    http::MaybeRefused refused;
    if (open >= limit) {
      refused = http::Refused{Refusal::kTooManyConnections, "too many connections"};
    }
    loop->Post([connection = std::move(connection), refused = std::move(refused)] {
      connection->Open(refused);
    });
  }

  void PostToClients(void (http::LoopClient::*call)()) {
    for (const auto& loop : loops_) {
      loop->Post([loop = loop.get(), call] {
        loop->ForEach([call](http::LoopClient* client) { (client->*call)(); });
      });
    }
  }

  const std::unique_ptr<http::Acceptor> acceptor_;
  const std::vector<std::shared_ptr<http::IoLoop>> loops_;
  const std::shared_ptr<http::EdgeContext> context_;
  size_t next_loop_ = 0;  // the acceptor's thread

  http::Mutex stop_mutex_;
  bool stopped_ ABSL_GUARDED_BY(stop_mutex_) = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Edge>> Edge::Start(EdgeOptions options, Handler handler) {
  auto acceptor = http::Acceptor::Listen(options.host, options.port);
  if (!acceptor.ok()) return acceptor.status();
  std::vector<std::shared_ptr<http::IoLoop>> loops;
  for (int i = 0; i < std::max(options.io_threads, 1); ++i) {
    auto loop = http::IoLoop::Create(SweepEvery(options));
    if (!loop.ok()) return loop.status();
    loops.push_back(*std::move(loop));
  }
  auto context = std::make_shared<http::EdgeContext>(std::move(options), std::move(handler));
  return std::make_unique<EventedEdge>(*std::move(acceptor), std::move(loops), std::move(context));
}

}  // namespace aibackend::gateway
