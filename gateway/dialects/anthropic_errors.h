// Errors as Anthropic's API has them: {"type":"error","error":{"type","message"},"request_id"},
// with the HTTP status of the contract's table, from which the type follows. The message begins
// with the place, as theirs do: "messages.0.content: must be given"; once, where it does already.
#pragma once

#include <string>
#include <vector>

#include "gateway/transcode/answer_format.h"

namespace aibackend::gateway {

// Where their SDKs look for the request's id; beside x-request-id, which every answer has.
inline constexpr char kAnthropicRequestIdHeader[] = "request-id";

// An error of the server's about a field of the contract, with the name of the field that the
// client wrote. `origins` as in AnthropicRequest.
ApiError InAnthropicWords(ApiError error, const std::vector<int>& origins);

std::string AnthropicErrorJson(const ApiError& error, const std::string& request_id);
HttpAnswer AnthropicErrorAnswer(const ApiError& error, const std::string& request_id);

}  // namespace aibackend::gateway
