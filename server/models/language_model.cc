#include "server/models/language_model.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/base/text.h"

namespace aibackend::models {
namespace {

// A picture of a megapixel costs 765 tokens (OpenAI, high detail) to 1,400 (Anthropic).
constexpr int kPictureTokens = 1000;

int TokensOf(const ChatMessage& message) {
  int tokens = EstimateTokens(TextOf(message));
  for (const ContentPart& part : message.parts) {
    if (part.kind == ContentPart::Kind::kImage) tokens += kPictureTokens;
    // It may be a file, whose bytes say little about its tokens.
    if (part.kind == ContentPart::Kind::kRaw) {
      tokens += std::min(EstimateTokens(part.text), kPictureTokens);
    }
  }
  for (const ToolCall& call : message.tool_calls) {
    tokens += EstimateTokens(call.name) + EstimateTokens(call.arguments);
  }
  return tokens;
}

}  // namespace

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
  return EstimatePromptTokens(request, request.messages);
}

int EstimatePromptTokens(const GenerateRequest& request, const std::vector<ChatMessage>& messages) {
  int tokens = 0;
  for (const ChatMessage& message : messages) tokens += TokensOf(message);
  for (const Tool& tool : request.tools) {
    tokens += EstimateTokens(tool.name) + EstimateTokens(tool.description) +
              EstimateTokens(tool.parameters);
  }
  if (request.response_format) tokens += EstimateTokens(request.response_format->schema);
  return tokens;
}

}  // namespace aibackend::models
