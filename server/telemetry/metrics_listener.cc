#include "server/telemetry/metrics_listener.h"

#include <sstream>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "httplib.h"
#include "prometheus/text_serializer.h"
#include "server/base/net_address.h"

namespace aibackend::telemetry {
namespace {

// A scraper and a person beside it.
constexpr size_t kThreads = 2;
constexpr time_t kTimeoutSeconds = 5;
constexpr size_t kRequestBytesMax = 4096;
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

}  // namespace

struct MetricsListener::Impl {
  httplib::Server server;
  std::vector<std::shared_ptr<prometheus::Collectable>> collectables;
  int port = 0;
  std::thread thread;
};

absl::StatusOr<std::unique_ptr<MetricsListener>> MetricsListener::Start(const std::string& address,
                                                                        const Metrics& metrics) {
  const auto failed = [&](absl::string_view why) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", address, " for /metrics: ", why));
  };
  const auto parts = ParseHostPort(address);
  if (!parts) return failed("it is not host:port");
  int port = parts->port;
  auto impl = std::make_unique<Impl>();
  impl->collectables = metrics.collectables();
  httplib::Server& server = impl->server;
  server.set_socket_options(SetSocketOptions);
  server.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  server.set_keep_alive_max_count(1);
  server.set_read_timeout(kTimeoutSeconds);
  server.set_write_timeout(kTimeoutSeconds);
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
  impl_->server.stop();
  impl_->thread.join();
}

int MetricsListener::port() const {
  return impl_->port;
}

}  // namespace aibackend::telemetry
