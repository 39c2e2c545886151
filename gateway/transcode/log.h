// The gateway's log: one line a request, and what else there is to say, on stderr.
#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace aibackend::gateway {

// `level` as spdlog names it. As text, or as one JSON object a line: {"ts","level"} with "msg", or
// with a request's fields. Call once, before the first line.
void StartLog(const std::string& level, bool as_json);

struct RequestLine {
  absl::string_view method;
  absl::string_view route;
  int status = 0;
  absl::Duration duration;
  size_t bytes = 0;          // of the answer's body
  absl::string_view ending;  // "complete", "client gone", …
  absl::string_view request_id;
  std::string trace_id;  // empty: it is part of no trace
};

// Thread-safe. A client's mistakes are no concern of the operator's; what the service failed at may
// be: from 500 on it is a warning.
void LogRequest(const RequestLine& line);

}  // namespace aibackend::gateway
