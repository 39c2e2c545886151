// A server stream, as its format puts it.
#pragma once

#include <memory>

#include "gateway/transcode/call.h"
#include "gateway/transcode/unary_call.h"

namespace aibackend::gateway {

// Before anything was sent an error is an HTTP status. Afterwards it is the format's error event,
// or, where that has none, the connection breaks. Heartbeats fill silences, also before the first
// event.
void StartStreamCall(PreparedCall prepared, std::unique_ptr<StreamFormat> format,
                     const CallOptions& options, Upstream& upstream);

}  // namespace aibackend::gateway
