// Every setting of the server, declared once (declarations.cc): flag, environment variable, help,
// default and bounds.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/config/models.h"

namespace aibackend::config {

inline constexpr char kVersion[] = "0.1.0";

struct JwtSettings {
  std::string key_file;
  std::string secret_file;
  std::string jwks_file;
  std::string issuer;
  std::string audience;
  int clock_skew_ms = 0;
  std::string tenant_claim;
  std::string user_claim;
  std::string scopes_claim;

  bool is_set() const { return !key_file.empty() || !secret_file.empty() || !jwks_file.empty(); }
};

struct CacheSettings {
  std::string mode;
  int ttl_ms = 0;
  int64_t bytes_max = 0;
  double threshold = 0;
  std::string embedder;
};

struct BillingSettings {
  std::string url;
  std::string api_key;  // secret: never printed
  std::string event_name;
  std::string metric;
};

struct Settings {
  std::vector<std::string> listen = {"127.0.0.1:50051"};
  std::string admin_key;  // secret: never printed
  std::string auth;       // "auto", "required", "off"; see RequiresAuth
  JwtSettings jwt;
  std::string limits_mode;  // "enforce", "shadow", "off"
  DefaultLimits limits;
  std::vector<std::string> trusted_proxies;
  int quota_answer_tokens = 0;
  int reservation_lease_ms = 0;
  std::vector<GuardrailSettings> guardrails;
  CacheSettings cache;
  BillingSettings billing;
  std::string data_dir;
  std::string log_level;
  std::string log_format;      // "text", "json"
  std::string metrics_listen;  // host:port, or empty
  std::string otlp_endpoint;
  double trace_sample = 0;
  std::string ledger;  // "on", "off"
  int usage_retention_days = 0;
  int content_retention_days = 0;
  bool insecure_listen = false;
  bool seed_empty = false;
  std::string log_content;  // "true", "false", "hashed" ("on", "off")
  bool retrieval_strict = false;
  std::string retrieval_language = "english";  // as libstemmer names it, or "none"
  std::vector<std::string> retrieval_legs;
  std::string retrieval_embedder;
  int retrieval_embed_timeout_ms = 0;
  int drain_timeout_ms = 0;
  int resume_window_ms = 0;

  std::string model;
  std::string openai_base_url;
  std::string openai_api_key;  // secret: never printed
  std::string anthropic_model;
  std::string anthropic_base_url;
  std::string anthropic_api_key;  // secret: never printed
  std::string embedding_model;
  int upstream_connect_timeout_ms = 0;
  int upstream_first_token_timeout_ms = 0;
  int upstream_idle_timeout_ms = 0;
  int upstream_total_timeout_ms = 0;
  int upstream_retries = 0;
  int upstream_retry_base_ms = 0;
  int upstream_retry_wait_max_ms = 0;
  int upstream_breaker_failures = 0;
  int upstream_breaker_open_ms = 0;
  int upstream_concurrent_max = 0;
  int upstream_queue_max = 0;
  // All of them, the default first; those that the settings above describe are among them.
  std::vector<ModelSettings> models;
  double words_per_second = 0;

  int worker_threads = 0;
  int worker_queue_max = 0;
  int turns_max = 0;
  int job_threads = 0;

  // Every call must bring a key or a JWT.
  bool RequiresAuth() const;
  // Where the database file is.
  std::string DatabasePath() const;
};

// What the command line asked for.
struct Invocation {
  Settings settings;
  // Set when there is only something to print (--help, --version, --print-config).
  std::string print;
};

// Flag > environment (AIB_…) > [server] section of the TOML file --config > default; the file's
// models come after those of the environment. An unknown key or a value out of bounds is an error
// that names it; every such problem of the settings' meaning is reported at once.
absl::StatusOr<Invocation> Load(int argc, const char* const* argv);

// True for an address that only this machine can reach: unix:…, localhost, 127.x.x.x, [::1].
bool IsLoopback(const std::string& address);

}  // namespace aibackend::config
