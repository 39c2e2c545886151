// Every setting of the gateway, declared once (settings.cc): flag, environment variable, help,
// default and bounds.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace aibackend::gateway {

inline constexpr char kVersion[] = "0.1.0";

struct Settings {
  std::string listen;  // host:port
  bool insecure_listen = false;
  std::string auth;        // "auto", "required", "off"
  bool needs_key = false;  // what `auth` comes to: every call must bring a key
  std::vector<std::string> servers = {"127.0.0.1:50051"};
  int io_threads = 0;
  int heartbeat_interval_ms = 0;
  int request_timeout_ms = 0;
  int drain_timeout_ms = 0;
  int body_bytes_max = 0;
  int connections_max = 0;
  int read_timeout_ms = 0;
  std::string log_level;
  std::string log_format;     // "text" or "json"
  std::string otlp_endpoint;  // empty: no spans are exported
  double trace_sample = 1;

  // The two parts of `listen`, which Load has checked; an IPv6 host without its brackets.
  std::string Host() const;
  int Port() const;
};

// What the command line asked for.
struct Invocation {
  Settings settings;
  std::string print;  // not empty: there is only this to print (--help, --version, --print-config)
};

// Flag > environment (AIB_…) > [gateway] section of the TOML file --config > default. Whatever is
// wrong, a file that is no TOML, an unknown key, a value out of bounds, is an error that names it.
absl::StatusOr<Invocation> Load(int argc, const char* const* argv);

}  // namespace aibackend::gateway
