#include "server/chat/cache_key.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include <algorithm>
#include <memory>
#include <type_traits>
#include <variant>
#include <vector>

#include "absl/types/optional.h"

namespace aibackend::chat {
namespace {

// A digest of values, in order: equal only for equal ones, as numbers have a fixed size and all
// else comes with its length.
class Digest {
 public:
  Digest() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr);
  }

  template <class T, std::enable_if_t<std::is_arithmetic_v<T> || std::is_enum_v<T>, int> = 0>
  void Add(T value) {
    EVP_DigestUpdate(context_.get(), &value, sizeof(value));
  }
  void Add(absl::string_view text) {
    Add(text.size());
    EVP_DigestUpdate(context_.get(), text.data(), text.size());
  }
  void Add(const std::string& text) { Add(absl::string_view(text)); }
  template <class T>
  void Add(const absl::optional<T>& value) {
    Add(value.has_value());
    if (value) Add(*value);
  }
  template <class T>
  void Add(const std::vector<T>& values) {
    Add(values.size());
    for (const T& value : values) Add(value);
  }

  void Add(const models::ContentPart& part) { All(part.kind, part.text, part.url, part.detail); }
  void Add(const models::ToolCall& call) { All(call.id, call.name, call.arguments); }
  void Add(const models::ChatMessage& m) {
    All(m.role, m.content, m.parts, m.tool_calls, m.tool_call_id, m.name);
  }
  void Add(const models::Tool& tool) {
    All(tool.name, tool.description, tool.parameters, tool.strict);
  }
  void Add(const models::ToolChoice& choice) { All(choice.mode, choice.name); }
  void Add(const models::ResponseFormat& format) {
    All(format.type, format.name, format.description, format.schema, format.strict);
  }
  void Add(const retrieval::MetadataValue& value) {
    Add(value.index());
    std::visit([this](const auto& v) { Add(v); }, value);
  }
  void Add(const retrieval::MetadataFilter::Condition& condition) {
    All(condition.field, condition.op, condition.values);
  }

  template <class... Ts>
  void All(const Ts&... values) {
    (Add(values), ...);
  }

  std::string Bytes() {
    std::string bytes(SHA256_DIGEST_LENGTH, '\0');
    EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(&bytes[0]), nullptr);
    return bytes;
  }

 private:
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

const models::ChatMessage* QuestionOf(const std::vector<models::ChatMessage>& messages) {
  const auto found = std::find_if(messages.rbegin(), messages.rend(), [](const auto& message) {
    return message.role == models::Role::kUser;
  });
  return found == messages.rend() ? nullptr : &*found;
}

// Of the question its texts alone are left out: images, and where texts stand, are not.
void AddWithoutQuestion(const std::vector<models::ChatMessage>& messages, Digest& digest) {
  const models::ChatMessage* question = QuestionOf(messages);
  digest.Add(messages.size());
  for (const models::ChatMessage& message : messages) {
    if (&message != question) {
      digest.Add(message);
      continue;
    }
    digest.All(message.role, message.name, message.parts.size());
    for (const models::ContentPart& part : message.parts) {
      part.kind == models::ContentPart::Kind::kText ? digest.Add(part.kind) : digest.Add(part);
    }
  }
}

void AddQuestion(const std::vector<models::ChatMessage>& messages, Digest& digest) {
  const models::ChatMessage* question = QuestionOf(messages);
  if (question == nullptr) return;
  digest.Add(question->content);
  for (const models::ContentPart& part : question->parts) {
    if (part.kind == models::ContentPart::Kind::kText) digest.Add(part.text);
  }
}

}  // namespace

CacheKey CacheKeyOf(const TurnRequest& turn, const models::ModelInfo& model, bool strict,
                    uint64_t revision) {
  const models::GenerateRequest& g = turn.generate;
  const RetrievalChoice& r = turn.retrieval;
  Digest scope;
  scope.All(r.collection.tenant, model.id, g.temperature, g.top_p, g.max_tokens, g.seed,
            g.top_logprobs, g.stop, g.tools, g.tool_choice, g.response_format, g.extra, r.enabled);
  AddWithoutQuestion(g.messages, scope);
  if (r.enabled) {
    scope.All(r.top_k, strict, r.collection.name, r.mode, r.filter.conditions, r.min_score,
              revision);
  }
  CacheKey key;
  key.scope = scope.Bytes();
  key.question = models::LastUserText(g.messages);
  Digest exact;
  exact.Add(key.scope);
  AddQuestion(g.messages, exact);
  key.exact = exact.Bytes();
  return key;
}

}  // namespace aibackend::chat
