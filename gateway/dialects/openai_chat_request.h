// OpenAI's chat completions, as it is asked for.
#pragma once

#include <optional>

#include "aibackend/v1/chat.pb.h"
#include "gateway/transcode/error.h"
#include "httplib.h"

namespace aibackend::gateway {

struct OpenAiChat {
  v1::ChatRequest request;
  bool stream = false;
  bool include_usage = false;
};

// Reads a body of POST /v1/chat/completions, and the headers that choose documents. Refuses what
// cannot be translated, by name; the rest is the server's to judge.
[[nodiscard]] std::optional<ApiError> ReadOpenAiChat(const httplib::Request& http, OpenAiChat& out);

}  // namespace aibackend::gateway
