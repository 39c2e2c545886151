// One turn of a conversation on the terminal: ask, show the answer as it comes, show what it rests
// on.
#pragma once

#include <optional>
#include <string>

#include "aibackend/v1/chat.pb.h"
#include "client/cli/session.h"

namespace aibackend::cli {

// Asks, prints, and returns the answer's text. Nothing when it failed or was cancelled, which is
// then printed; a failure also sets the session's exit code.
std::optional<std::string> RunTurn(Session& session, const v1::ChatRequest& request, bool stream,
                                   client::Cancellation* cancellation = nullptr);

// What stands below an answer: that there was no context, that it was cut, its citations.
void PrintEnding(Output& out, const v1::ChatResponse& response);

}  // namespace aibackend::cli
