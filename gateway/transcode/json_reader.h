// JSON to a protobuf message, strictly: what a client misspelled is refused by name, never ignored.
//
// Names are the proto's snake_case ones. Refused: unknown and repeated names, a wrong type, numbers
// out of a field's range, unknown enum names, malformed JSON (with line and column), bytes that are
// not UTF-8, more than kJsonDepthMax levels, more than kJsonValuesMax values. null is as if absent.
// int64 is a number or a string of digits. google.protobuf.Struct, Value, ListValue and Timestamp
// read as the JSON they stand for; other well-known types as protobuf's own mapping has them.
#pragma once

#include <cstddef>
#include <optional>

#include "absl/strings/string_view.h"
#include "gateway/transcode/error.h"
#include "google/protobuf/message.h"

namespace aibackend::gateway {

// Deeper than any honest request; keeps recursion, here and in protobuf's parsers, small.
inline constexpr int kJsonDepthMax = 64;
// A value of a Struct takes some fifty times the bytes of "0,": this bounds what one body can take.
inline constexpr size_t kJsonValuesMax = 1'000'000;

// Reads a JSON object into the empty `message`. An error names the field's path
// (messages[0].role). Thread-safe.
[[nodiscard]] std::optional<ApiError> ReadJson(absl::string_view json,
                                               google::protobuf::Message& message);

}  // namespace aibackend::gateway
