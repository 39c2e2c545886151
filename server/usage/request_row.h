// One request as the ledger keeps it.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "server/base/ids.h"
#include "server/base/money.h"

namespace aibackend::usage {

enum class RequestStatus { kRunning, kOk, kError, kCancelled };

// As it stands in the database and in the contract: "RUNNING", "OK", "ERROR", "CANCELLED".
const char* RequestStatusName(RequestStatus status);
// Of such a name; of any other nothing.
absl::optional<RequestStatus> RequestStatusOf(absl::string_view name);

struct RequestRow {
  RequestId request_id;  // not unique for a client that repeats its own; `row_id` is
  std::string row_id;
  absl::Time created_at;
  std::string endpoint;  // the RPC's name
  std::string user_id;   // this and the model: at most 256 bytes are kept
  std::string model;
  RequestStatus status = RequestStatus::kRunning;
  std::string prompt;  // empty where content is not logged
  std::string response;
  int prompt_bytes = 0;  // of the whole content; at least the size of `prompt` is kept
  int response_bytes = 0;
  int prompt_tokens = 0;
  int completion_tokens = 0;
  bool usage_estimated = false;
  int cached_tokens = 0;     // of prompt_tokens
  int reasoning_tokens = 0;  // of completion_tokens
  int upstream_calls = 0;
  std::string replay_of;  // the request id whose answer this one was given again
  NanoUsd cost;           // 0 while the price isn't known
  bool price_unknown = false;
  int64_t price_version = 0;  // that `cost` was made with; 0: no price was applied
  int response_time_ms = 0;
  int ttft_ms = 0;
  std::string error_reason;  // ReasonName, empty unless kError or kCancelled
  std::string tenant = "default";
  std::string key_id;        // of the API key that asked; may be empty
  std::string cache;         // "exact", "semantic": that cache answered
  std::string guardrails;    // "name:action", several by comma
  std::string shadow_limit;  // that would have refused it
  std::string trace_id;      // 32 hex digits, or empty
  std::string detail;        // JSON, see request_detail.h
  // What it holds of its quotas while it runs (access/meter.h).
  int64_t reserved_tokens = 0;
  NanoUsd reserved_money;
};

}  // namespace aibackend::usage
