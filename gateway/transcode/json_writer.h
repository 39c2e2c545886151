// Protobuf messages to JSON, in the contract's mapping: snake_case names, int64 as a string, enum
// values by name, fields at their default printed (empty lists as []), unset optional ones left
// out.
#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"

namespace aibackend::gateway {

// Appends `text`, UTF-8, as a quoted JSON string. Control characters, quotes and backslashes are
// escaped, and U+2028 and U+2029 stay (RFC 8259 allows them, and no SSE line ends there). Bytes
// that are not UTF-8 become U+FFFD, so that what leaves is always JSON.
void AppendJsonString(absl::string_view text, std::string& out);

// The message as one line of JSON; nullopt where it has none (a time beyond Timestamp's range,
// say), which a sound server never sends.
std::optional<std::string> MessageToJson(const google::protobuf::Message& message);

}  // namespace aibackend::gateway
