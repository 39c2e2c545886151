// A server stream as server-sent events or bare text.
#pragma once

#include "gateway/transcode/call.h"
#include "gateway/transcode/unary_call.h"

namespace aibackend::gateway {

// A message with a oneof `event` of a string `delta` and a `done` is an answer in pieces: deltas
// are data events, `done` is the last event and must come, or the stream is an error. Any other
// message is one data event, and the stream is complete when the call is OK.
//
// Before anything was sent an error is an HTTP status. Afterwards it is `event: error`; bare text
// has no place for one, so there the connection breaks. Heartbeats are comments, of events only.
void StartStreamCall(PreparedCall prepared, bool plain_text, const CallOptions& options,
                     Upstream& upstream);

}  // namespace aibackend::gateway
