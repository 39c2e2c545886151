// The models that requests can name and what serves them: the [models.*] tables of the TOML file,
// and the one or two models that the environment describes (AIB_OPENAI_BASE_URL,
// AIB_ANTHROPIC_BASE_URL).
#pragma once

#include <string>
#include <vector>

#include "absl/types/optional.h"
#include "server/config/accounts.h"

namespace aibackend::config {

struct UpstreamTimeouts {
  int connect_ms = 0;
  int first_token_ms = 0;
  int idle_ms = 0;
  int total_ms = 0;
};

// A model server. Where a model has several, each request goes to one of them, by weight; if it
// fails before the first token, to another.
struct UpstreamSettings {
  std::string base_url;
  std::string api_key;  // secret: never printed. Of the file's api_key_env, or its api_key
  std::string model;    // what the upstream calls it
  double weight = 1;
  UpstreamTimeouts timeouts;
  int concurrent_max = 0;  // requests under way there; 0: no cap
  int queue_max = 0;       // that wait for one to end; beyond it: OVERLOADED
};

struct ModelSettings {
  enum class Provider { kOpenAi, kAnthropic };
  enum class Kind { kChat, kEmbedding };

  std::string name;
  Provider provider = Provider::kOpenAi;
  Kind kind = Kind::kChat;
  std::vector<std::string> aliases;
  std::vector<UpstreamSettings> upstreams;  // at least one
  std::vector<std::string> fallbacks;       // names of models, tried in order; "extractive" too
  int context_tokens = 0;                   // prompt and answer together; 0: unknown
  int retries = 0;                          // after the first attempt, before the first token
  int retry_base_ms = 0;                    // see models/retry.h
  int retry_wait_max_ms = 0;                // a longer Retry-After isn't waited for
  int breaker_failures = 0;                 // in a row that open an upstream's circuit; 0: never
  int breaker_open_ms = 0;                  // how long it stays open at first
  absl::optional<PriceSettings> price;
};

}  // namespace aibackend::config
