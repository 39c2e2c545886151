// The conversation at a terminal.
#pragma once

#include "aibackend/v1/chat.pb.h"
#include "client/cli/session.h"

namespace aibackend::cli {

// Reads questions from stdin until /exit, Ctrl-D or a Ctrl-C with nothing to cancel; Ctrl-C during
// an answer cancels that answer alone. Each turn carries the turns before it. `base` holds what all
// turns share (model, temperature, retrieval). Must run before the session has connected.
void RunRepl(Session& session, const v1::ChatRequest& base, bool stream);

}  // namespace aibackend::cli
