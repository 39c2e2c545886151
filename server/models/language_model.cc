#include "server/models/language_model.h"

#include "absl/strings/str_cat.h"
#include "server/base/text.h"

namespace aibackend::models {

std::string TextOf(const ChatMessage& message) {
  if (message.parts.empty()) return message.content;
  std::string text;
  for (const ContentPart& part : message.parts) {
    if (part.kind == ContentPart::Kind::kText) absl::StrAppend(&text, part.text);
  }
  return text;
}

std::string LastUserText(const std::vector<ChatMessage>& messages) {
  for (auto message = messages.rbegin(); message != messages.rend(); ++message) {
    if (message->role == Role::kUser) return TextOf(*message);
  }
  return {};
}

size_t MemoryBytes(const std::vector<TokenLogprob>& logprobs) {
  size_t bytes = logprobs.capacity() * sizeof(TokenLogprob);
  for (const TokenLogprob& logprob : logprobs) {
    bytes += logprob.token.capacity() + logprob.bytes.capacity() * sizeof(int);
    bytes += MemoryBytes(logprob.top_logprobs);
  }
  return bytes;
}

int EstimatePromptTokens(const GenerateRequest& request) {
  int tokens = 0;
  for (const ChatMessage& message : request.messages) {
    tokens += EstimateTokens(TextOf(message));
    for (const ToolCall& call : message.tool_calls) {
      tokens += EstimateTokens(call.name) + EstimateTokens(call.arguments);
    }
  }
  for (const Tool& tool : request.tools) {
    tokens += EstimateTokens(tool.name) + EstimateTokens(tool.description) +
              EstimateTokens(tool.parameters);
  }
  if (request.response_format) tokens += EstimateTokens(request.response_format->schema);
  return tokens;
}

}  // namespace aibackend::models
