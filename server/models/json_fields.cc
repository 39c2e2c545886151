#include "server/models/json_fields.h"

#include <limits>

#include "server/base/status.h"
#include "server/base/text.h"

namespace aibackend::models {

using Element = simdjson::dom::element;
using Object = simdjson::dom::object;

absl::StatusOr<Object> ParseObject(simdjson::dom::parser& parser, absl::string_view json) {
  Element element;
  Object root;
  if (json.empty() || parser.parse(json.data(), json.size()).get(element) != simdjson::SUCCESS ||
      element.get(root) != simdjson::SUCCESS) {
    return MakeError(Reason::UPSTREAM_BAD_RESPONSE, "it is not a JSON object");
  }
  return root;
}

std::string StringAt(const Object& object, const char* key) {
  return std::string(TextAt(object, key));
}

absl::string_view TextAt(const Object& object, const char* key) {
  std::string_view value;
  return object[key].get(value) == simdjson::SUCCESS ? ToAbsl(value) : absl::string_view();
}

absl::optional<Object> ObjectAt(const Object& object, const char* key) {
  Object value;
  if (object[key].get(value) != simdjson::SUCCESS) return absl::nullopt;
  return value;
}

bool HasValue(const Object& object, const char* key) {
  Element value;
  return object[key].get(value) == simdjson::SUCCESS && !value.is_null();
}

absl::optional<int> TokensAt(const Object& object, const char* key) {
  int64_t tokens = 0;
  if (object[key].get(tokens) != simdjson::SUCCESS) return absl::nullopt;
  if (tokens < 0 || tokens > std::numeric_limits<int>::max() / 2) return absl::nullopt;
  return static_cast<int>(tokens);
}

}  // namespace aibackend::models
