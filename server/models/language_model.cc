#include "server/models/language_model.h"

#include "absl/strings/str_cat.h"

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

}  // namespace aibackend::models
