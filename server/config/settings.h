// Every setting of the server, declared once (settings.cc): flag, environment variable, help,
// default and bounds.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/config/models.h"

namespace aibackend::config {

struct Settings {
  std::vector<std::string> listen = {"127.0.0.1:50051"};
  std::string admin_key;  // secret: never printed
  std::string data_dir;
  std::string log_level;
  bool insecure_listen = false;
  bool seed_empty = false;
  bool log_content = true;
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

  // Where the database file is.
  std::string DatabasePath() const;
};

// What the command line asked for.
struct Invocation {
  Settings settings;
  // Set when there is only something to print (--help, --version, --print-config); the program then
  // ends with `exit_code`.
  std::string print;
  int exit_code = 0;
};

// Flag > environment (AIB_…) > [server] section of the TOML file --config > default; the file's
// models come after those of the environment. An unknown key or a value out of bounds is an error
// that names it; every such problem of the settings' meaning is reported at once.
absl::StatusOr<Invocation> Load(int argc, const char* const* argv);

// True for an address that only this machine can reach: unix:…, localhost, 127.x.x.x, [::1].
bool IsLoopback(const std::string& address);

}  // namespace aibackend::config
