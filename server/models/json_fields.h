// Fields of JSON that comes from outside: what is missing or of another type counts as absent.
#pragma once

#include <simdjson.h>

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace aibackend::models {

// UPSTREAM_BAD_RESPONSE when it is no JSON object. What it returns lives in `parser` until the next
// call.
absl::StatusOr<simdjson::dom::object> ParseObject(simdjson::dom::parser& parser,
                                                  absl::string_view json);

std::string StringAt(const simdjson::dom::object& object, const char* key);
// The same, living in the parser.
absl::string_view TextAt(const simdjson::dom::object& object, const char* key);
absl::optional<simdjson::dom::object> ObjectAt(const simdjson::dom::object& object,
                                               const char* key);
// True for anything but null.
bool HasValue(const simdjson::dom::object& object, const char* key);
// A number of tokens that is one: from 0 to half an int, so that the sum of two is an int.
absl::optional<int> TokensAt(const simdjson::dom::object& object, const char* key);

}  // namespace aibackend::models
