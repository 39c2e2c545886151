// The requests of OpenAI's chat completions (platform.openai.com/docs/api-reference/chat).
#pragma once

#include <string>
#include <vector>

#include "server/models/language_model.h"

namespace aibackend::models {

// `messages` with `prompt` as one more system message, after those the conversation begins with.
std::vector<ChatMessage> WithSystemPrompt(std::vector<ChatMessage> messages, std::string prompt);

// The body of a request for `model`, with `messages` in place of the request's own. What is JSON in
// the request (schemas, raw parts, extra) goes in untouched; extra may replace any member but the
// model, the messages and whether it streams. Text that isn't UTF-8 gets U+FFFD.
std::string RequestBody(const GenerateRequest& request, const std::string& model,
                        const std::vector<ChatMessage>& messages);

}  // namespace aibackend::models
