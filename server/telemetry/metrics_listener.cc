#include "server/telemetry/metrics_listener.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "httplib.h"
#include "prometheus/text_serializer.h"
#include "server/base/net_address.h"

namespace aibackend::telemetry {
namespace {

// A scraper and a person beside it.
constexpr size_t kThreads = 2;
constexpr size_t kRequestBytesMax = 4096;
constexpr int64_t kWaitMsMax = 3'600'000;
constexpr char kContentType[] = "text/plain; version=0.0.4; charset=utf-8";

// Not SO_REUSEPORT, httplib's default: with it a port that is taken would be shared.
void SetSocketOptions(socket_t socket) {
  const int yes = 1;
  setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
}

std::string Text(const std::vector<std::shared_ptr<prometheus::Collectable>>& collectables) {
  std::vector<prometheus::MetricFamily> families;
  for (const auto& collectable : collectables) {
    for (prometheus::MetricFamily& family : collectable->Collect()) {
      families.push_back(std::move(family));
    }
  }
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families);
  return out.str();
}

// One connection, until a time.
class TimedStream final : public httplib::Stream {
 public:
  TimedStream(socket_t socket, absl::Time until) : socket_(socket), until_(until) {}

  bool is_readable() const override { return Wait(POLLIN); }
  bool is_writable() const override { return Wait(POLLOUT); }
  ssize_t read(char* to, size_t size) override {
    return is_readable() ? recv(socket_, to, size, 0) : -1;
  }
  ssize_t write(const char* from, size_t size) override {
    return is_writable() ? send(socket_, from, size, MSG_NOSIGNAL | MSG_DONTWAIT) : -1;
  }
  // Nobody asks.
  void get_remote_ip_and_port(std::string& /*ip*/, int& /*port*/) const override {}
  void get_local_ip_and_port(std::string& /*ip*/, int& /*port*/) const override {}
  socket_t socket() const override { return socket_; }

 private:
  bool Wait(int16_t events) const {
    const absl::Duration left = until_ - absl::Now();
    if (left <= absl::ZeroDuration()) return false;
    pollfd waiting{socket_, events, 0};
    const int64_t ms = std::min<int64_t>(absl::ToInt64Milliseconds(left), kWaitMsMax);
    return poll(&waiting, 1, static_cast<int>(ms) + 1) > 0;
  }

  const socket_t socket_;
  const absl::Time until_;
};

// httplib's own timeouts are of each read and write: a client that sends a byte now and then would
// keep a thread for ever.
class TimedServer final : public httplib::Server {
 public:
  explicit TimedServer(absl::Duration time_max) : time_max_(time_max) {}

  // Cuts what is under way, and takes nothing more.
  void Stop() {
    {
      absl::MutexLock lock(&mutex_);
      is_stopping_ = true;
      for (const socket_t socket : open_) shutdown(socket, SHUT_RDWR);
    }
    stop();
  }

 private:
  bool process_and_close_socket(socket_t socket) override {
    bool is_answered = false;
    if (Open(socket)) {
      TimedStream stream(socket, absl::Now() + time_max_);
      bool is_closed = false;
      is_answered = process_request(stream, /*close_connection=*/true, is_closed, nullptr);
      shutdown(socket, SHUT_RDWR);
      absl::MutexLock lock(&mutex_);
      open_.erase(socket);
    }
    close(socket);
    return is_answered;
  }

  bool Open(socket_t socket) {
    absl::MutexLock lock(&mutex_);
    if (!is_stopping_) open_.insert(socket);
    return !is_stopping_;
  }

  const absl::Duration time_max_;
  absl::Mutex mutex_;
  bool is_stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_set<socket_t> open_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

struct MetricsListener::Impl {
  explicit Impl(absl::Duration time_max) : server(time_max) {}

  TimedServer server;
  std::vector<std::shared_ptr<prometheus::Collectable>> collectables;
  int port = 0;
  std::thread thread;
};

absl::StatusOr<std::unique_ptr<MetricsListener>> MetricsListener::Start(const std::string& address,
                                                                        const Metrics& metrics,
                                                                        absl::Duration time_max) {
  const auto failed = [&](absl::string_view why) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", address, " for /metrics: ", why));
  };
  const auto parts = ParseHostPort(address);
  if (!parts) return failed("it is not host:port");
  int port = parts->port;
  auto impl = std::make_unique<Impl>(time_max);
  impl->collectables = metrics.collectables();
  TimedServer& server = impl->server;
  server.set_socket_options(SetSocketOptions);
  server.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  server.set_payload_max_length(kRequestBytesMax);
  server.Get("/metrics", [&collectables = impl->collectables](const httplib::Request&,
                                                              httplib::Response& response) {
    response.set_content(Text(collectables), kContentType);
  });
  if (port == 0) {
    port = server.bind_to_any_port(parts->host);
    if (port < 0) return failed("no port is free there");
  } else if (!server.bind_to_port(parts->host, port)) {
    return failed("the port is taken, or the address is not this machine's");
  }
  impl->port = port;
  impl->thread = std::thread([&server] { server.listen_after_bind(); });
  // It can be stopped once it runs, which its first answer shows.
  httplib::Client(parts->host, port).Get("/");
  return std::unique_ptr<MetricsListener>(new MetricsListener(std::move(impl)));
}

MetricsListener::MetricsListener(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

MetricsListener::~MetricsListener() {
  impl_->server.Stop();
  impl_->thread.join();
}

int MetricsListener::port() const {
  return impl_->port;
}

}  // namespace aibackend::telemetry
