// The requests of Anthropic's Messages API (docs.anthropic.com/en/api/messages, version
// 2023-06-01).
#pragma once

#include <string>
#include <vector>

#include "server/models/language_model.h"

namespace aibackend::models {

// The body of a request for `model`, with `messages` in place of the request's own. What is JSON in
// the request (schemas, raw parts, extra) goes in untouched; extra may replace any member but the
// model, the messages and whether it streams. Text that isn't UTF-8 gets U+FFFD.
//
// - Roles are to alternate: the blocks of neighbours of one role are one message's. System messages
//   go to the top, wherever they stand, as one text with blank lines between. A message with one
//   text is that text, others are blocks. Text without a character to see is left out: the API
//   refuses it.
// - A tool's answer is a block of a user message, before all else in it. A call whose arguments
//   aren't a JSON object has them as {"arguments": "…"}: `input` must be an object.
// - A JSON schema for the answer is output_config.format, the API's structured outputs; members of
//   output_config in extra stay. A JSON object without a schema is asked for in the system prompt.
// - OpenAI's "parallel_tool_calls" in extra becomes what the API has for it. Seed, log
//   probabilities, names of speakers and a picture's detail have no equal there.
std::string MessagesBody(const GenerateRequest& request, const std::string& model,
                         const std::vector<ChatMessage>& messages, int max_tokens);

}  // namespace aibackend::models
