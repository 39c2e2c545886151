// Answers as Anthropic's API has them: a message, whole or as events, and a count of tokens.
//
// Beyond theirs an answer that rests on stored documents has a member `citations`, of the message
// or of the event message_delta, as the contract has it: their own citations point into documents
// of the request. A thinking block's signature is empty, as the contract carries none.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "aibackend/v1/chat.pb.h"
#include "gateway/transcode/answer_format.h"

namespace aibackend::gateway {

// What an answer has to know of its request.
struct AnthropicAsked {
  std::string request_id;
  std::string model;         // as the client named it
  std::vector<int> origins;  // as in AnthropicRequest
};

std::unique_ptr<UnaryFormat> MakeAnthropicMessage(AnthropicAsked asked);     // of a ChatResponse
std::unique_ptr<UnaryFormat> MakeAnthropicTokenCount(AnthropicAsked asked);  // of CountTokens

// Of ChatStreamEvents: message_start, then for each block content_block_start, its deltas and
// content_block_stop, then message_delta and message_stop; `ping` while nothing flows. What is only
// known at the end, tokens and stop reason, is in message_delta; message_start counts 0 and names
// the model that was asked for. Calls whose pieces interleave are blocks one after the other all
// the same; a piece that comes late goes to its block by number, where their SDKs put it.
std::unique_ptr<StreamFormat> MakeAnthropicStream(AnthropicAsked asked);

// Parts of both forms.

// "msg_…" of a request's id.
std::string AnthropicMessageId(absl::string_view request_id);
// `"stop_reason":…,"stop_sequence":…`
void AppendAnthropicStop(const v1::ChatResponse& response, bool has_tool_calls, std::string& json);
// `{"input_tokens":…}`. Theirs doesn't count what was cached as input.
void AppendAnthropicUsage(const v1::Usage& usage, std::string& json);
// `,"citations":[…]`, or nothing where there are none. False: they can't be put as JSON.
[[nodiscard]] bool AppendCitations(const v1::ChatResponse& response, std::string& json);

}  // namespace aibackend::gateway
