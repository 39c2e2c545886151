// A routed HTTP request as a gRPC call: unary calls answer as JSON, server streams as server-sent
// events or, for Accept: text/plain, as bare text; or either as a dialect has it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gateway/http/edge.h"
#include "gateway/transcode/answer_format.h"
#include "gateway/transcode/route_table.h"
#include "gateway/transcode/upstream.h"

namespace aibackend::gateway {

struct CallOptions {
  absl::Duration timeout = absl::Seconds(600);  // of a call as a whole
  absl::Duration heartbeat_interval = absl::Seconds(15);
  bool needs_key = false;  // the server is to ask for a key, also where it doesn't ask others
  std::function<absl::Time()> now = absl::Now;  // when a heartbeat is due; tests have their own
};

// A slow client's stream is read no further while more than this waits for its socket, so that
// memory is bounded and the server feels the pressure.
inline constexpr size_t kPendingBytesMax = 64 * 1024;

// Of the two, the one that fits the method is used.
struct CallFormats {
  std::unique_ptr<UnaryFormat> unary;
  std::unique_ptr<StreamFormat> stream;
  // Its events have ids, so that a client may ask for what comes after one. Without them nobody
  // can, and a Last-Event-ID would make an answer that lacks its beginning look whole.
  bool has_event_ids = false;
};

// Starts the call and returns; the answer, or its error, goes to `exchange` from gRPC threads. When
// the client leaves, the call is cancelled at once. `upstream` must outlive the exchange, `route`
// too.
void StartCall(std::shared_ptr<Exchange> exchange, const Route& route,
               const google::protobuf::Message& request, const std::string& request_id,
               const CallOptions& options, Upstream& upstream);

// The same, with the answer in another shape than the contract's.
void StartCall(std::shared_ptr<Exchange> exchange, const Route& route,
               const google::protobuf::Message& request, const std::string& request_id,
               CallFormats formats, const CallOptions& options, Upstream& upstream);

}  // namespace aibackend::gateway
