#include "gateway/settings.h"

#include <arpa/inet.h>

#include <cstdlib>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gateway/settings_file.h"
#include "proto/otlp/span_exporter.h"

namespace aibackend::gateway {
namespace {

constexpr int kDayMs = 24 * 3600 * 1000;

void DeclareNetwork(CLI::App& app, Settings& s) {
  app.add_option("--listen", s.listen, "Address of the HTTP port: host:port; port 0: any free one")
      ->envname("AIB_GATEWAY_LISTEN")
      ->default_val("127.0.0.1:8080")
      ->group("Network");
  app.add_option("--insecure-listen", s.insecure_listen,
                 "Listen beyond this machine although nobody is asked for a key; for containers "
                 "and private networks")
      ->envname("AIB_INSECURE_LISTEN")
      ->default_str("false")
      ->group("Network");
  app.add_option(
         "--auth", s.auth,
         "auto, required or off. required: the server asks every call of this gateway for a "
         "key; auto: where AIB_ADMIN_KEY is in this program's environment too, or the "
         "server asks by itself")
      ->envname("AIB_AUTH")
      ->default_val("auto")
      ->check(CLI::IsMember({"auto", "required", "off"}))
      ->group("Network");
  app.add_option("--servers", s.servers,
                 "aibackend-servers to call: host:port or unix:/path, several by comma")
      ->envname("AIB_SERVERS")
      ->delimiter(',')
      ->default_str("127.0.0.1:50051")
      ->group("Network");
  app.add_option("--io-threads", s.io_threads, "Threads that serve the HTTP connections")
      ->envname("AIB_GATEWAY_IO_THREADS")
      ->default_val(2)
      ->check(CLI::Range(1, 64))
      ->group("Network");
}

void DeclareLimits(CLI::App& app, Settings& s) {
  app.add_option("--connections-max", s.connections_max, "HTTP connections at once; beyond it: 503")
      ->envname("AIB_GATEWAY_CONNECTIONS_MAX")
      ->default_val(20'000)
      ->check(CLI::Range(1, 1'000'000))
      ->group("Limits");
  app.add_option("--body-bytes-max", s.body_bytes_max,
                 "Bytes of a request's body, unpacked; beyond it: 413")
      ->envname("AIB_GATEWAY_BODY_BYTES_MAX")
      ->default_val(16 * 1024 * 1024)
      ->check(CLI::Range(1024, 32 * 1024 * 1024))
      ->group("Limits");
  app.add_option("--read-timeout-ms", s.read_timeout_ms,
                 "For a request to arrive, from its first byte to its last; beyond it: 408")
      ->envname("AIB_GATEWAY_READ_TIMEOUT_MS")
      ->default_val(30'000)
      ->check(CLI::Range(100, kDayMs))
      ->group("Limits");
  app.add_option("--request-timeout-ms", s.request_timeout_ms,
                 "For a call to a server as a whole, streams too; beyond it: 504")
      ->envname("AIB_GATEWAY_REQUEST_TIMEOUT_MS")
      ->default_val(600'000)
      ->check(CLI::Range(100, kDayMs))
      ->group("Limits");
  app.add_option("--heartbeat-interval-ms", s.heartbeat_interval_ms,
                 "Silence in an event stream after which a comment line is sent")
      ->envname("AIB_GATEWAY_HEARTBEAT_INTERVAL_MS")
      ->default_val(15'000)
      ->check(CLI::Range(250, kDayMs))
      ->group("Limits");
  app.add_option("--drain-timeout-ms", s.drain_timeout_ms,
                 "After SIGTERM, how long running requests may go on")
      ->envname("AIB_DRAIN_TIMEOUT_MS")
      ->default_val(20'000)
      ->check(CLI::Range(0, 3'600'000))
      ->group("Limits");
}

void DeclareObservation(CLI::App& app, Settings& s) {
  app.add_option("--log-level", s.log_level, "trace, debug, info, warn, error or off")
      ->envname("AIB_LOG_LEVEL")
      ->default_val("info")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}))
      ->group("Logging");
  app.add_option("--log-format", s.log_format, "text, or json: one object a line")
      ->envname("AIB_LOG_FORMAT")
      ->default_val("text")
      ->check(CLI::IsMember({"text", "json"}))
      ->group("Logging");
  app.add_option("--otlp-endpoint", s.otlp_endpoint,
                 "Collector that gets a span of each request, over OTLP/gRPC: host:port, or with "
                 "TLS https://host:port; empty: none does")
      ->envname("AIB_OTLP_ENDPOINT")
      ->default_str("")
      ->group("Tracing");
  app.add_option(
         "--trace-sample", s.trace_sample,
         "Of the traces that begin here, the share that is exported; a caller's traceparent "
         "says so itself")
      ->envname("AIB_TRACE_SAMPLE")
      ->default_val(1)
      ->check(CLI::Range(0.0, 1.0))
      ->group("Tracing");
}

bool IsLoopback(const std::string& host) {
  in_addr v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  return host == "localhost" || host == "::1";
}

// What no single bound can say, all at once.
absl::Status CheckMeaning(const Settings& s) {
  std::vector<std::string> problems;
  if (s.Host().empty() || s.Port() < 0 || s.Port() > 65535) {
    problems.push_back(absl::StrCat("listen: ", s.listen, " is not host:port"));
  } else if (!IsLoopback(s.Host()) && !s.insecure_listen && !s.needs_key) {
    problems.push_back(absl::StrCat(
        "listen: ", s.listen,
        " is reachable from other machines and no key is asked for; use 127.0.0.1, set "
        "AIB_AUTH=required, or AIB_INSECURE_LISTEN=true where the network is yours"));
  }
  if (!s.otlp_endpoint.empty()) {
    if (const absl::Status status = otlp::CheckEndpoint(s.otlp_endpoint); !status.ok())
      problems.push_back(absl::StrCat("otlp-endpoint: ", std::string(status.message())));
  }
  if (s.servers.empty()) problems.push_back("servers: at least one address is needed");
  if (problems.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(problems, "\n"));
}

}  // namespace

std::string Settings::Host() const {
  const size_t colon = listen.rfind(':');
  if (colon == std::string::npos) return {};
  const std::string host = listen.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  return bracketed ? host.substr(1, host.size() - 2) : host;
}

int Settings::Port() const {
  const size_t colon = listen.rfind(':');
  int port = -1;
  return colon != std::string::npos && absl::SimpleAtoi(listen.substr(colon + 1), &port) ? port
                                                                                         : -1;
}

absl::StatusOr<Invocation> Load(int argc, const char* const* argv) {
  Invocation invocation;
  CLI::App app("aibackend-gateway: the AI backend's REST side", "aibackend-gateway");
  app.set_version_flag("--version", kVersion);
  // CLI11 reads the file before the environment: a name from there must be given beforehand.
  const char* named = std::getenv("AIB_CONFIG");
  const std::string file_name = named ? named : "";
  app.set_config("--config", file_name, "A TOML file; its [gateway] section is read",
                 /*config_required=*/!file_name.empty())
      ->envname("AIB_CONFIG");
  app.config_formatter(std::make_shared<SettingsFile>(app));
  app.allow_config_extras(CLI::config_extras_mode::error);
  bool print_config = false;
  app.add_flag("--print-config", print_config,
               "Print a TOML section with every setting and its help, and leave")
      ->configurable(false);
  DeclareNetwork(app, invocation.settings);
  DeclareLimits(app, invocation.settings);
  DeclareObservation(app, invocation.settings);

  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {  // --help, --version
    invocation.print =
        asked.get_name() == "CallForVersion" ? absl::StrCat(kVersion, "\n") : app.help();
    return invocation;
  } catch (const CLI::Error& error) {
    return absl::InvalidArgumentError(error.what());
  }
  if (print_config) {
    invocation.print = absl::StrCat("[gateway]\n", app.config_to_str(true, true));
    return invocation;
  }
  const char* admin_key = std::getenv("AIB_ADMIN_KEY");
  invocation.settings.needs_key =
      invocation.settings.auth == "required" ||
      (invocation.settings.auth == "auto" && admin_key != nullptr && *admin_key != '\0');
  if (absl::Status status = CheckMeaning(invocation.settings); !status.ok()) return status;
  return invocation;
}

}  // namespace aibackend::gateway
