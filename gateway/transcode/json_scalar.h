// One plain field from one JSON value, or from text (a query parameter, a path segment, a form
// part).
#pragma once

#include <simdjson.h>

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "gateway/transcode/error.h"
#include "gateway/transcode/json_place.h"
#include "google/protobuf/message.h"

namespace aibackend::gateway {

// "must be an array, not a string", at `place`.
ApiError WrongType(const JsonPlace& place, absl::string_view wanted,
                   const simdjson::dom::element& value);

// Sets the field, or appends to it where it is repeated. Not for message fields.
[[nodiscard]] std::optional<ApiError> ReadJsonScalar(const simdjson::dom::element& value,
                                                     const google::protobuf::FieldDescriptor& field,
                                                     const JsonPlace& place,
                                                     google::protobuf::Message& message);

// The same from text: numbers in decimal, true or false, enum names. `name` is what an error calls
// the field.
[[nodiscard]] std::optional<ApiError> SetScalarFromText(
    absl::string_view text, const google::protobuf::FieldDescriptor& field, const std::string& name,
    google::protobuf::Message& message);

}  // namespace aibackend::gateway
