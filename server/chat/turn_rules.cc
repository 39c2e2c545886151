#include "server/chat/turn_rules.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"

namespace aibackend::chat {
namespace {

absl::Status CheckMessages(const std::vector<models::ChatMessage>& messages) {
  if (messages.empty()) {
    return MakeError(Reason::MESSAGES_EMPTY, "messages must hold at least one message", "messages");
  }
  if (messages.size() > kMessagesMax) {
    return MakeError(Reason::FIELD_OUT_OF_RANGE,
                     absl::StrCat("messages holds ", messages.size(), " messages; at most ",
                                  kMessagesMax, " are taken"),
                     "messages");
  }
  size_t bytes = 0;
  for (const auto& message : messages) bytes += message.content.size();
  if (bytes > kConversationBytesMax) {
    return MakeError(Reason::REQUEST_TOO_LARGE,
                     absl::StrCat("messages hold ", bytes, " bytes of text; at most ",
                                  kConversationBytesMax, " are taken"),
                     "messages");
  }
  const size_t last = messages.size() - 1;
  if (messages[last].role != models::Role::kUser) {
    return MakeError(Reason::FIELD_INVALID, "the last message must be the user's",
                     absl::StrCat("messages[", last, "].role"));
  }
  if (messages[last].content.find_first_not_of(" \t\r\n") == std::string::npos) {
    return MakeError(Reason::FIELD_REQUIRED, "the last message must not be empty",
                     absl::StrCat("messages[", last, "].content"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckTurn(const TurnRequest& request) {
  AIB_RETURN_IF_ERROR(CheckMessages(request.messages));
  if (request.temperature &&
      !(*request.temperature >= 0 && *request.temperature <= kTemperatureMax)) {
    return MakeError(
        Reason::TEMPERATURE_OUT_OF_RANGE,
        absl::StrCat("temperature is ", *request.temperature, "; it must be from 0 to 2"),
        "temperature");
  }
  if (request.max_tokens && (*request.max_tokens < 1 || *request.max_tokens > kMaxTokensMax)) {
    return MakeError(Reason::FIELD_OUT_OF_RANGE,
                     absl::StrCat("max_tokens is ", *request.max_tokens, "; it must be from 1 to ",
                                  kMaxTokensMax),
                     "max_tokens");
  }
  if (request.retrieval.top_k < 1 || request.retrieval.top_k > kTopKMax) {
    return MakeError(Reason::TOP_K_OUT_OF_RANGE,
                     absl::StrCat("retrieval.top_k is ", request.retrieval.top_k,
                                  "; it must be from 1 to ", kTopKMax),
                     "retrieval.top_k");
  }
  if (request.user.size() > kUserBytesMax) {
    return MakeError(Reason::FIELD_OUT_OF_RANGE,
                     absl::StrCat("user is longer than ", kUserBytesMax, " bytes"), "user");
  }
  return absl::OkStatus();
}

absl::Status CheckTurnOf(const models::ModelInfo& model, const TurnRequest& request) {
  if (request.temperature.value_or(0) > model.temperature_max) {
    return MakeError(Reason::TEMPERATURE_OUT_OF_RANGE,
                     absl::StrCat("temperature is ", *request.temperature, "; for model '",
                                  model.id, "' it must be from 0 to ", model.temperature_max),
                     "temperature");
  }
  return absl::OkStatus();
}

}  // namespace aibackend::chat
