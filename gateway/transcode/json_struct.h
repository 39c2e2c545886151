// JSON to the well-known types, whose JSON is not an object of their fields.
#pragma once

#include <simdjson.h>

#include <functional>
#include <optional>

#include "gateway/transcode/error.h"
#include "gateway/transcode/json_place.h"
#include "google/protobuf/message.h"

namespace aibackend::gateway {

// Of package google.protobuf.
bool IsWellKnown(const google::protobuf::Descriptor& type);

// A google.protobuf.Value, for which null is a value.
bool IsJsonValue(const google::protobuf::FieldDescriptor& field);

// Called for each value inside a Struct, Value or ListValue; an error stops the reading.
using ValueCounter = std::function<std::optional<ApiError>(const JsonPlace&)>;

// Reads `value` into `message`, whose type IsWellKnown. The nesting is bounded by the parser's.
[[nodiscard]] std::optional<ApiError> ReadWellKnown(const simdjson::dom::element& value,
                                                    const JsonPlace& place,
                                                    const ValueCounter& count,
                                                    google::protobuf::Message& message);

}  // namespace aibackend::gateway
