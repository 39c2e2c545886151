// The bytes of a server-sent event stream (WHATWG HTML, 9.2 "Server-sent events").
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "gateway/http/edge.h"

namespace aibackend::gateway {

// What a proxy or a client takes for life where nothing flows.
inline constexpr char kSseHeartbeat[] = ": keep-alive\n\n";

// Content-Type, and what keeps proxies from storing or buffering the stream.
HeaderList SseHeaders();

// "id: 7\ndata: {…}\n\n". `json` is one line.
std::string SseData(uint64_t id, absl::string_view json);

// The event of a streamed answer's piece, {"delta":"…"}: by hand, as there is one for every token.
std::string SseDelta(uint64_t id, absl::string_view delta);

// "event: done\ndata: {…}\n\n", the last one.
std::string SseNamed(absl::string_view event, absl::string_view json);

}  // namespace aibackend::gateway
