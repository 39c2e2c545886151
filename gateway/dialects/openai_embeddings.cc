#include "gateway/dialects/openai_embeddings.h"

#include <charconv>
#include <cmath>
#include <cstring>

#include "absl/strings/escaping.h"
#include "gateway/dialects/json_node.h"
#include "gateway/dialects/openai_errors.h"
#include "gateway/dialects/openai_json.h"
#include "gateway/dialects/openai_request.h"

namespace aibackend::gateway {
namespace {

constexpr absl::string_view kKnown[] = {"input",      "model", "encoding_format",
                                        "dimensions", "user",  "safety_identifier"};

void ReadInput(const JsonNode& input, v1::EmbedRequest& request) {
  if (input.is_string()) return request.add_input(input.String());
  if (!input.is_array())
    return input.Refuse(Reason::WRONG_TYPE, "must be a string or an array of strings");
  for (const JsonNode& text : input.Elements()) {
    if (!text.is_string())
      return text.Refuse(Reason::WRONG_TYPE, "must be a string: token arrays are not taken");
    request.add_input(text.String());
  }
}

std::string Base64Of(const v1::Embedding& embedding) {
  std::string bytes;
  bytes.reserve(4 * static_cast<size_t>(embedding.values_size()));
  for (const float value : embedding.values()) {
    uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(bits >> shift & 0xFF);
  }
  return absl::Base64Escape(bytes);
}

// nullopt: JSON has no such number.
std::optional<std::string> NumbersOf(const v1::Embedding& embedding) {
  std::string json = "[";
  char digits[32];
  for (const float value : embedding.values()) {
    if (!std::isfinite(value)) return std::nullopt;
    if (json.size() > 1) json += ',';
    json.append(digits, std::to_chars(digits, std::end(digits), value).ptr);
  }
  return json + "]";
}

class EmbeddingList final : public UnaryFormat {
 public:
  explicit EmbeddingList(bool base64) : base64_(base64) {}

  std::optional<HttpAnswer> Answer(const google::protobuf::Message& message) override {
    const auto* response = google::protobuf::DynamicCastToGenerated<v1::EmbedResponse>(&message);
    if (response == nullptr) return std::nullopt;
    std::vector<std::string> data;
    for (int i = 0; i < response->embeddings_size(); ++i) {
      const v1::Embedding& embedding = response->embeddings(i);
      const auto vector = base64_ ? Quoted(Base64Of(embedding)) : NumbersOf(embedding);
      if (!vector) return std::nullopt;
      data.push_back(ObjectWriter()
                         .String("object", "embedding")
                         .Number("index", i)
                         .Raw("embedding", *vector)
                         .Text());
    }
    const v1::Usage& usage = response->usage();
    ObjectWriter body;
    body.String("object", "list").Raw("data", ListText(data)).String("model", response->model());
    body.Raw("usage", ObjectWriter()
                          .Number("prompt_tokens", usage.prompt_tokens())
                          .Number("total_tokens", usage.total_tokens())
                          .Text());
    return HttpAnswer{200, {{"Content-Type", "application/json"}}, body.Text()};
  }
  HttpAnswer Error(const ApiError& error, const std::string& /*request_id*/) override {
    return OpenAiError(error, SameParam);
  }

 private:
  const bool base64_;
};

}  // namespace

std::optional<ApiError> ReadOpenAiEmbeddings(absl::string_view text, OpenAiEmbeddings& out) {
  JsonDocument document;
  const JsonNode body = document.Parse(text);
  if (document.problem()) return document.problem();
  v1::EmbedRequest& request = out.request;
  request.set_model(body["model"].String());
  ReadInput(body["input"].Required(), request);
  const JsonNode format = body["encoding_format"];
  const std::string encoding = format ? format.String() : "float";
  out.base64 = encoding == "base64";
  if (!out.base64 && encoding != "float")
    format.Refuse(Reason::FIELD_INVALID, "must be float or base64");
  if (const auto dimensions = body["dimensions"].Int()) request.set_dimensions(*dimensions);
  request.set_user(ReadUser(body));
  JsonObjectText extra;
  AddUnknown(body, kKnown, extra);
  request.set_extra(extra.Text());
  return document.problem();
}

std::unique_ptr<UnaryFormat> MakeEmbeddingList(bool base64) {
  return std::make_unique<EmbeddingList>(base64);
}

}  // namespace aibackend::gateway
