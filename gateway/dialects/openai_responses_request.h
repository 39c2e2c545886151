// OpenAI's Responses API, as it is asked for.
#pragma once

#include <optional>
#include <string>

#include "aibackend/v1/chat.pb.h"
#include "gateway/transcode/error.h"
#include "httplib.h"

namespace aibackend::gateway {

struct OpenAiResponses {
  v1::ChatRequest request;
  bool stream = false;
  // The members of the answer that repeat the request: "instructions":…,"tools":…
  std::string echo;
};

// Reads a body of POST /v1/responses, and the headers that choose documents. Nothing is stored
// between requests, so that what needs that (previous_response_id, conversation, background) is
// refused; so are tools that OpenAI would run itself.
[[nodiscard]] std::optional<ApiError> ReadOpenAiResponses(const httplib::Request& http,
                                                          OpenAiResponses& out);

}  // namespace aibackend::gateway
