// What the TOML file says of accounts: the [limits.*] and [guardrails.*] tables, and a model's
// price.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/optional.h"

namespace aibackend::config {

// What is absent is not limited.
struct LimitSettings {
  absl::optional<int64_t> requests_per_minute;
  absl::optional<int64_t> tokens_per_minute;
  absl::optional<int64_t> tokens_per_day;
  absl::optional<int64_t> tokens_per_month;
  absl::optional<int64_t> nano_usd_per_day;  // usd_per_day in the file
  absl::optional<int64_t> nano_usd_per_month;
  absl::optional<int64_t> concurrent;
};

// Of each key, user, tenant and address that has none of its own.
struct DefaultLimits {
  LimitSettings key;
  LimitSettings user;
  LimitSettings tenant;
  LimitSettings address;  // requests and concurrency only
};

// Nano-USD for a million tokens; in the file US dollars.
struct PriceSettings {
  int64_t input = 0;
  int64_t output = 0;
  absl::optional<int64_t> cached_input;  // absent: as input
  absl::optional<int64_t> reasoning;     // absent: as output
};

struct GuardrailSettings {
  std::string name;
  std::string on = "both";         // "input", "output", "both"
  std::string kind;                // "size", "regex", "blocklist", "email", "phone", "card"
  std::string action = "mask";     // "block", "mask", "flag"
  std::string pattern;             // of regex
  std::vector<std::string> words;  // of blocklist
  int bytes_max = 0;               // of size
};

}  // namespace aibackend::config
