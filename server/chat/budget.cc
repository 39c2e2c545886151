#include "server/chat/budget.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/models/grounding_prompt.h"
#include "server/models/json_fields.h"

namespace aibackend::chat {
namespace {

using models::ContentPart;

// What a chat template puts around a message, and around all of them; the longest seen is a
// system prompt of some 40 tokens that a template adds by itself.
constexpr int64_t kMessageTokens = 16;
constexpr int64_t kTemplateTokens = 128;
// A tool's declaration is rewritten by the server before the model sees it, and where there are any
// a system prompt tells the model to use them: 159 to 530 tokens (Anthropic's table by model).
constexpr int64_t kToolTokens = 64;
constexpr int64_t kToolPromptTokens = 1024;
// Of a picture at high detail: 765 for most models, up to 36,848 where a model counts them by its
// own measure (OpenAI's table for the mini models, 2,048 by 2,048 pixels).
constexpr int64_t kPictureTokens = 40'000;
constexpr int64_t kSmallPictureTokens = 3'000;  // detail "low"

int64_t BytesOf(const models::ChatMessage& message) {
  size_t bytes = message.content.size() + message.name.size() + message.tool_call_id.size();
  for (const ContentPart& part : message.parts) bytes += part.text.size();
  for (const models::ToolCall& call : message.tool_calls) {
    bytes += call.id.size() + call.name.size() + call.arguments.size();
  }
  return static_cast<int64_t>(bytes);
}

// A file, a document at a URL: its bytes here say nothing about what the model reads. No more than
// the largest contexts hold.
constexpr int64_t kOpaqueTokens = 1'000'000;

// Raw parts of which each token is a byte at least.
bool IsText(const std::string& raw) {
  static constexpr absl::string_view kText[] = {"text", "thinking", "redacted_thinking", "refusal",
                                                "input_audio"};
  simdjson::dom::parser parser;
  const auto object = models::ParseObject(parser, raw);
  std::string_view type;
  return object.ok() && (*object)["type"].get(type) == simdjson::SUCCESS &&
         absl::c_linear_search(kText, absl::string_view(type.data(), type.size()));
}

int64_t FileTokensOf(const models::ChatMessage& message) {
  return kOpaqueTokens * absl::c_count_if(message.parts, [](const ContentPart& part) {
           return part.kind == ContentPart::Kind::kRaw && !IsText(part.text);
         });
}

int64_t PictureTokensOf(const models::ChatMessage& message) {
  int64_t tokens = 0;
  for (const ContentPart& part : message.parts) {
    if (part.kind != ContentPart::Kind::kImage) continue;
    tokens += part.detail == "low" ? kSmallPictureTokens : kPictureTokens;
  }
  return tokens;
}

// The model and those that may answer in its place.
std::vector<std::string> Candidates(const models::ModelInfo& model) {
  std::vector<std::string> names = {model.id};
  names.insert(names.end(), model.fallbacks.begin(), model.fallbacks.end());
  return names;
}

absl::Status PriceUnknown(const models::ModelInfo& model) {
  return MakeError(Reason::PRICE_UNKNOWN,
                   absl::StrCat("the caller has a limit on money, and what ", model.id,
                                model.fallbacks.empty() ? "" : " or a fallback of it",
                                " costs isn't known; an administrator sets a price"),
                   "model");
}

absl::Status Reserve(access::Pass& pass, const usage::PriceBook& prices,
                     const models::ModelInfo& model, int64_t prompt, int64_t answer) {
  access::Amount upper;
  upper.tokens = prompt + answer;
  if (pass.counts_money()) {
    const auto money = prices.UpperBound(Candidates(model), prompt, answer);
    if (!money) return PriceUnknown(model);
    upper.money = *money;
  }
  return pass.Reserve(upper);
}

}  // namespace

int64_t PromptTokensAtMost(const models::GenerateRequest& request) {
  int64_t tokens = kTemplateTokens;
  for (const models::ChatMessage& message : request.messages) {
    tokens += kMessageTokens + BytesOf(message) + PictureTokensOf(message) + FileTokensOf(message);
  }
  if (!request.tools.empty()) tokens += kToolPromptTokens;
  for (const models::Tool& tool : request.tools) {
    tokens += kToolTokens + static_cast<int64_t>(tool.name.size() + tool.description.size() +
                                                 tool.parameters.size());
  }
  if (request.response_format) {
    tokens += static_cast<int64_t>(request.response_format->schema.size() +
                                   request.response_format->description.size());
  }
  tokens += static_cast<int64_t>(request.extra.size());
  if (request.grounding) {
    tokens += kMessageTokens + static_cast<int64_t>(models::GroundingPrompt(request).size());
  }
  return tokens;
}

int64_t PromptTokensAtMost(const models::EmbedRequest& request) {
  int64_t tokens = 0;
  for (const std::string& input : request.inputs) {
    tokens += kMessageTokens + static_cast<int64_t>(input.size());
  }
  return tokens;
}

absl::Status ReserveTurn(access::Pass& pass, const usage::PriceBook& prices, int answer_tokens,
                         const models::ModelInfo& model, models::GenerateRequest& request) {
  if (!pass.is_metered()) return absl::OkStatus();
  const int64_t prompt = PromptTokensAtMost(request);
  if (!request.max_tokens) {
    int64_t answer = model.answer_tokens_default > 0 ? model.answer_tokens_default : answer_tokens;
    int64_t dearest = 0;
    if (pass.counts_money()) {
      const auto known = prices.DearestPerMillion(Candidates(model));
      if (!known) return PriceUnknown(model);
      dearest = *known;
    }
    if (const auto left = pass.TokensLeft(dearest)) answer = std::min(answer, *left - prompt);
    request.max_tokens = static_cast<int>(std::max<int64_t>(1, answer));
  }
  return Reserve(pass, prices, model, prompt, *request.max_tokens);
}

absl::Status ReserveEmbedding(access::Pass& pass, const usage::PriceBook& prices,
                              const models::ModelInfo& model, const models::EmbedRequest& request) {
  if (!pass.is_metered()) return absl::OkStatus();
  return Reserve(pass, prices, model, PromptTokensAtMost(request), 0);
}

}  // namespace aibackend::chat
