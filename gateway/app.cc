#include "gateway/app.h"

#include <atomic>
#include <optional>

#include "gateway/dialects/dialect.h"
#include "gateway/docs/embedded.h"
#include "gateway/docs/openapi.h"
#include "gateway/handler.h"
#include "gateway/http/edge.h"
#include "gateway/transcode/error.h"
#include "gateway/transcode/metadata.h"
#include "gateway/transcode/route_table.h"
#include "gateway/transcode/upstream.h"
#include "proto/otlp/span_exporter.h"
#include "proto/otlp/tracer.h"

namespace aibackend::gateway {
namespace {

EdgeOptions EdgeOptionsOf(const Settings& settings) {
  EdgeOptions options;
  options.host = settings.Host();
  options.port = settings.Port();
  options.io_threads = settings.io_threads;
  options.connections_max = static_cast<size_t>(settings.connections_max);
  options.body_bytes_max = static_cast<size_t>(settings.body_bytes_max);
  options.request_deadline = absl::Milliseconds(settings.read_timeout_ms);
  options.refusal_answer = [](Refusal refusal, const std::string& message) {
    return RefusalAnswer(refusal, message, NewRequestId());
  };
  return options;
}

CallOptions CallOptionsOf(const Settings& settings) {
  CallOptions options;
  options.timeout = absl::Milliseconds(settings.request_timeout_ms);
  options.heartbeat_interval = absl::Milliseconds(settings.heartbeat_interval_ms);
  options.needs_key = settings.needs_key;
  return options;
}

std::vector<DialectOperation> OperationsOf(const std::vector<std::unique_ptr<Dialect>>& dialects) {
  std::vector<DialectOperation> operations;
  for (const auto& dialect : dialects) {
    for (const DialectRoute& route : dialect->routes())
      operations.push_back({route.http_method, route.path, route.summary});
  }
  return operations;
}

// Null: nothing is exported.
absl::StatusOr<std::unique_ptr<otlp::SpanExporter>> StartExporter(const Settings& settings) {
  if (settings.otlp_endpoint.empty()) return nullptr;
  otlp::ExporterOptions options;
  options.endpoint = settings.otlp_endpoint;
  options.service_name = "aibackend-gateway";
  options.service_version = kVersion;
  return otlp::SpanExporter::Start(std::move(options));
}

class RunningGateway final : public Gateway {
 public:
  RunningGateway(const Settings& settings, std::unique_ptr<otlp::SpanExporter> exporter,
                 RouteTable routes, std::unique_ptr<Upstream> upstream)
      : exporter_(std::move(exporter)),
        tracer_(exporter_.get(), settings.trace_sample),
        drain_timeout_(absl::Milliseconds(settings.drain_timeout_ms)),
        options_(CallOptionsOf(settings)),
        routes_(std::move(routes)),
        upstream_(std::move(upstream)) {}
  ~RunningGateway() override { Stop(absl::ZeroDuration()); }

  absl::Status Serve(const Settings& settings) {
    auto dialects = Dialects();
    absl::StatusOr<std::string> openapi =
        MakeOpenApi(routes_, EmbeddedDescriptors(), OperationsOf(dialects));
    if (!openapi.ok()) return openapi.status();
    handler_.emplace(
        routes_, *upstream_, options_, std::move(dialects), *std::move(openapi),
        [this] { return Stats(); }, tracer_);
    auto edge = Edge::Start(EdgeOptionsOf(settings), [this](std::shared_ptr<Exchange> exchange) {
      handler_->Handle(std::move(exchange));
    });
    if (!edge.ok()) return edge.status();
    edge_ = *std::move(edge);
    started_edge_ = edge_.get();
    return absl::OkStatus();
  }

  int port() const override { return edge_->port(); }
  void Drain() override { Stop(drain_timeout_); }

 private:
  std::vector<std::unique_ptr<Dialect>> Dialects() {
    const DialectContext context{routes_, *upstream_, options_};
    std::vector<std::unique_ptr<Dialect>> dialects;
    dialects.push_back(MakeOpenAiDialect(context));
    dialects.push_back(MakeAnthropicDialect(context));
    return dialects;
  }

  void Stop(absl::Duration grace) {
    if (!handler_) return;
    handler_->Drain();
    if (edge_) edge_->Stop(grace);
    handler_->WaitForNone();
  }

  // The edge serves before Listen() has it.
  EdgeStats Stats() const {
    const Edge* edge = started_edge_;
    return edge ? edge->stats() : EdgeStats();
  }

  const std::unique_ptr<otlp::SpanExporter> exporter_;
  const otlp::Tracer tracer_;
  const absl::Duration drain_timeout_;
  const CallOptions options_;
  const RouteTable routes_;
  const std::unique_ptr<Upstream> upstream_;
  std::atomic<const Edge*> started_edge_ = nullptr;
  std::optional<Handler> handler_;
  std::unique_ptr<Edge> edge_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Gateway>> Gateway::Start(const Settings& settings) {
  absl::StatusOr<RouteTable> routes = RouteTable::Build(ContractServices());
  if (!routes.ok()) return routes.status();
  auto upstream = Upstream::Connect(settings.servers, *routes);
  if (!upstream.ok()) return upstream.status();
  auto exporter = StartExporter(settings);
  if (!exporter.ok()) return exporter.status();

  auto gateway = std::make_unique<RunningGateway>(settings, *std::move(exporter),
                                                  *std::move(routes), *std::move(upstream));
  if (absl::Status status = gateway->Serve(settings); !status.ok()) return status;
  return gateway;
}

}  // namespace aibackend::gateway
