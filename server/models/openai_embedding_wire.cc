#include "server/models/openai_embedding_wire.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/base/text.h"
#include "server/models/json_fields.h"
#include "server/models/openai_wire.h"
#include "server/models/upstream_body.h"

namespace aibackend::models {
namespace {

using Element = simdjson::dom::element;
using Object = simdjson::dom::object;

absl::Status Bad(absl::string_view what) {
  return MakeError(Reason::UPSTREAM_BAD_RESPONSE, what);
}

// False: not numbers that are finite as floats.
bool ReadNumbers(const simdjson::dom::array& numbers, std::vector<float>* out) {
  for (const Element& element : numbers) {
    double number = 0;
    if (element.get(number) != simdjson::SUCCESS) return false;
    out->push_back(static_cast<float>(number));
    if (!std::isfinite(out->back())) return false;
  }
  return true;
}

// Of base64 of floats, the first byte the lowest: as this machine has them.
bool ReadBase64(absl::string_view text, std::vector<float>* out) {
  std::string bytes;
  if (!absl::Base64Unescape(text, &bytes) || bytes.size() % sizeof(float) != 0) return false;
  out->resize(bytes.size() / sizeof(float));
  if (!bytes.empty()) std::memcpy(out->data(), bytes.data(), bytes.size());
  for (const float number : *out) {
    if (!std::isfinite(number)) return false;
  }
  return true;
}

bool ReadVector(const Object& row, std::vector<float>* out) {
  simdjson::dom::array numbers;
  if (row["embedding"].get(numbers) == simdjson::SUCCESS) return ReadNumbers(numbers, out);
  return ReadBase64(TextAt(row, "embedding"), out);
}

absl::Status ReadRows(const simdjson::dom::array& rows, std::vector<std::vector<float>>* vectors) {
  size_t place = 0;
  size_t size = 0;
  for (const Element& element : rows) {
    Object row;
    if (element.get(row) != simdjson::SUCCESS) return Bad("a row of it is no object");
    uint64_t index = place++;
    if (HasValue(row, "index") && row["index"].get(index) != simdjson::SUCCESS) {
      return Bad("an index is no number");
    }
    if (index >= vectors->size() || !(*vectors)[index].empty()) {
      return Bad(
          absl::StrCat("it doesn't hold one vector for each of ", vectors->size(), " inputs"));
    }
    std::vector<float>& vector = (*vectors)[index];
    vector.reserve(size);
    if (!ReadVector(row, &vector) || vector.empty()) return Bad("a vector isn't one");
    if (size != 0 && vector.size() != size) return Bad("its vectors differ in size");
    size = vector.size();
  }
  if (size != 0 && place == vectors->size()) return absl::OkStatus();
  return Bad(absl::StrCat("it holds ", place, " vectors for ", vectors->size(), " inputs"));
}

}  // namespace

std::string EmbeddingsBody(const EmbedRequest& request, const std::string& model) {
  static constexpr absl::string_view kFixed[] = {"model", "input"};
  UpstreamBody body(request.extra, kFixed);
  body.Add("model", model);
  JsonWriter& json = body.json().Name("input").BeginArray();
  for (const std::string& input : request.inputs) json.String(input);
  json.EndArray();
  body.Add("encoding_format", "float");
  body.Add("dimensions", request.dimensions);
  if (!request.user.empty()) body.Add("user", request.user);
  return body.Finish();
}

absl::StatusOr<EmbeddingsAnswer> ReadEmbeddings(absl::string_view body, size_t inputs) {
  simdjson::dom::parser parser;
  AIB_ASSIGN_OR_RETURN(const Object root, ParseObject(parser, body));
  EmbeddingsAnswer answer;
  if (HasValue(root, "error")) {
    answer.error = OpenAiErrorIn(root);
    return answer;
  }
  simdjson::dom::array rows;
  if (root["data"].get(rows) != simdjson::SUCCESS) return Bad("it holds no vectors");
  answer.vectors.resize(inputs);
  AIB_RETURN_IF_ERROR(ReadRows(rows, &answer.vectors));
  if (const auto usage = ObjectAt(root, "usage")) {
    answer.prompt_tokens = TokensAt(*usage, "prompt_tokens");
  }
  return answer;
}

}  // namespace aibackend::models
