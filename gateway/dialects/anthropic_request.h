// A request of Anthropic's Messages API as one of the contract's.
//
// What has a word in the contract is translated; every other member of the body (top_k, thinking,
// service_tier, …) goes on in `extra`, untouched, and so do blocks that the contract has no word
// for (document, redacted_thinking, search_result, …) as raw parts. Where the two differ:
//
// - `system` becomes the first message; a model may be left out, and is then the server's default.
// - One message of theirs may be several of ours: each tool_result becomes a message of role tool,
//   before what else the user's message says. is_error, for which there is no word, becomes
//   "Error: " before the result's text, as that is what every model understands.
// - disable_parallel_tool_use becomes "parallel_tool_calls": false in `extra`, OpenAI's word for
// it,
//   which the server knows to say to either kind of model.
// - Dropped: cache_control of blocks and tools, the hints of a tool beyond name, description,
//   input_schema and strict, what metadata holds beside user_id, and thinking blocks without a
//   signature: those are what this gateway answered with, and no model would take them back.
// - Refused: tools that run at the model's side (those with another `type` than custom).
// - output_config.format (formerly output_format) becomes a strict response_format.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "aibackend/v1/chat.pb.h"
#include "gateway/transcode/error.h"

namespace aibackend::gateway {

// The one of `AnthropicRequest::origins` that stands for `system`.
inline constexpr int kOfSystem = -1;

struct AnthropicRequest {
  v1::ChatRequest chat;  // without retrieval
  bool stream = false;
  std::vector<int> origins;  // of each message of `chat`: the index of theirs that it was
};

// /v1/messages must say max_tokens, /v1/messages/count_tokens needn't.
enum class AnthropicPath { kMessages, kCountTokens };

// Fills the empty `request`. An error's field is the place in their body: messages[0].content.
[[nodiscard]] std::optional<ApiError> ReadAnthropicRequest(absl::string_view body,
                                                           AnthropicPath path,
                                                           AnthropicRequest& request);

}  // namespace aibackend::gateway
