#include "gateway/transcode/upstream.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/grpcpp.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gateway/transcode/error.h"
#include "google/protobuf/io/coded_stream.h"

namespace aibackend::gateway {
namespace {

using nlohmann::json;

// A dead peer that sends no FIN (power, network) is noticed within the sum of these. Not below 30
// s: gRPC servers count pings that come faster than their limit as abuse.
constexpr int kKeepaliveTimeMs = 30'000;
constexpr int kKeepaliveTimeoutMs = 10'000;
// A server that restarts is back within a second; the default second that doubles to two minutes
// would keep answering 503 long after.
constexpr int kReconnectFirstMs = 100;
constexpr int kReconnectMaxMs = 2'000;
constexpr char kHealthMethod[] = "/grpc.health.v1.Health/Check";

// Idempotent calls, those that REST has as GET of their own, may run twice.
json MethodConfig(const RouteTable& routes) {
  json names = json::array();
  for (const auto& route : routes.routes()) {
    if (route->http_method != "GET" || route->is_alias || route->method->server_streaming())
      continue;
    names.push_back(
        {{"service", route->method->service()->full_name()}, {"method", route->method->name()}});
  }
  if (names.empty()) return json::array();
  return json::array({{{"name", names},
                       {"retryPolicy",
                        {{"maxAttempts", 3},
                         {"initialBackoff", "0.02s"},
                         {"maxBackoff", "0.2s"},
                         {"backoffMultiplier", 2},
                         {"retryableStatusCodes", {"UNAVAILABLE"}}}}}});
}

// A lone server is asked even when it says it doesn't serve: its own words are the better answer.
std::string ServiceConfig(const RouteTable& routes, bool several) {
  json config = {{"loadBalancingConfig", json::array({{{"round_robin", json::object()}}})}};
  if (several) {
    config["healthCheckConfig"] = {{"serviceName", ""}};
    config["methodConfig"] = MethodConfig(routes);
  }
  return config.dump();
}

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& target, const std::string& config) {
  grpc::ChannelArguments arguments;
  arguments.SetUserAgentPrefix("aibackend-gateway");
  arguments.SetMaxReceiveMessageSize(kMessageBytesMax);
  arguments.SetMaxSendMessageSize(kMessageBytesMax);
  arguments.SetServiceConfigJSON(config);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);  // no TXT lookups for a config
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // http_proxy is meant for the web
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectFirstMs);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kReconnectMaxMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMaxMs);
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
}

// The scheme under which gRPC takes the address in a list; empty for a host name.
std::string SchemeOf(const std::string& server) {
  if (absl::StartsWith(server, "unix:")) return "unix:";
  if (absl::StartsWith(server, "[")) return "ipv6:";
  const std::string host = server.substr(0, server.rfind(':'));
  const bool is_ip = host.find_first_not_of("0123456789.") == std::string::npos;
  return is_ip ? "ipv4:" : "";
}

bool IsAddress(const std::string& server) {
  if (absl::StartsWith(server, "unix:")) return server.size() > 5;
  const size_t colon = server.rfind(':');
  int port = 0;
  return colon != std::string::npos && colon > 0 &&
         absl::SimpleAtoi(server.substr(colon + 1), &port) && port > 0 && port <= 65535;
}

// One target for all servers, where gRPC has a way to write it.
std::optional<std::string> CommonTarget(const std::vector<std::string>& servers) {
  if (servers.size() == 1) return servers[0];
  const std::string scheme = SchemeOf(servers[0]);
  if (scheme.empty()) return std::nullopt;
  std::vector<std::string> addresses;
  for (const std::string& server : servers) {
    if (SchemeOf(server) != scheme) return std::nullopt;
    addresses.push_back(scheme == "unix:" ? server.substr(scheme.size()) : server);
  }
  return absl::StrCat(scheme, absl::StrJoin(addresses, ","));
}

// grpc.health.v1.HealthCheckResponse.status (field 1); 1 is SERVING. Its classes are not in
// Debian's package. 0, UNKNOWN, for bytes that are none.
int ServingStatus(const grpc::ByteBuffer& buffer) {
  grpc::Slice slice;
  if (!buffer.DumpToSingleSlice(&slice).ok()) return 0;
  google::protobuf::io::CodedInputStream in(slice.begin(), static_cast<int>(slice.size()));
  constexpr uint32_t kStatusTag = 1 << 3;  // varint
  uint32_t value = 0;
  return in.ReadTag() == kStatusTag && in.ReadVarint32(&value) ? static_cast<int>(value) : 0;
}

struct HealthCall {
  Upstream::Context context;
  grpc::ByteBuffer request;  // of no bytes
  grpc::ByteBuffer response;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Upstream>> Upstream::Connect(const std::vector<std::string>& servers,
                                                            const RouteTable& routes) {
  if (servers.empty()) return absl::InvalidArgumentError("no server is named");
  for (const std::string& server : servers) {
    if (!IsAddress(server))
      return absl::InvalidArgumentError(
          absl::StrCat("\"", server, "\" is neither host:port nor unix:/path"));
  }
  const std::string config = ServiceConfig(routes, servers.size() > 1);
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  if (const auto target = CommonTarget(servers)) {
    channels.push_back(MakeChannel(*target, config));
  } else {
    for (const std::string& server : servers) channels.push_back(MakeChannel(server, config));
  }
  for (const auto& channel : channels) channel->GetState(/*try_to_connect=*/true);
  return std::make_unique<Upstream>(std::move(channels));
}

Upstream::Upstream(std::vector<std::shared_ptr<grpc::Channel>> channels)
    : channels_(std::move(channels)) {
  for (const auto& channel : channels_)
    stubs_.push_back(std::make_unique<grpc::GenericStub>(channel));
}

Upstream::Context Upstream::NewContext() {
  contexts_.Add();
  return Context(new grpc::ClientContext, ContextRelease{&contexts_});
}

grpc::GenericStub& Upstream::Pick() {
  if (stubs_.size() == 1) return *stubs_[0];
  const size_t first = turn_.fetch_add(1, std::memory_order_relaxed);
  for (size_t i = 0; i < stubs_.size(); ++i) {
    const size_t candidate = (first + i) % stubs_.size();
    if (channels_[candidate]->GetState(/*try_to_connect=*/true) == GRPC_CHANNEL_READY)
      return *stubs_[candidate];
  }
  return *stubs_[first % stubs_.size()];
}

void Upstream::Unary(grpc::ClientContext* context, const std::string& method,
                     const grpc::ByteBuffer* request, grpc::ByteBuffer* response,
                     std::function<void(grpc::Status)> done) {
  Pick().UnaryCall(context, method, grpc::StubOptions(), request, response, std::move(done));
}

void Upstream::Stream(grpc::ClientContext* context, const std::string& method,
                      StreamReactor* reactor) {
  Pick().PrepareBidiStreamingCall(context, method, grpc::StubOptions(), reactor);
}

void Upstream::CheckHealth(absl::Duration timeout, std::function<void(grpc::Status)> done) {
  auto call = std::make_shared<HealthCall>(HealthCall{NewContext(), {nullptr, 0}, {}});
  call->context->set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  HealthCall& borrowed = *call;
  Unary(borrowed.context.get(), kHealthMethod, &borrowed.request, &borrowed.response,
        [call, done = std::move(done)](const grpc::Status& status) {
          constexpr int kServing = 1;
          if (!status.ok() || ServingStatus(call->response) == kServing) return done(status);
          done(grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "the server is not ready"));
        });
}

}  // namespace aibackend::gateway
