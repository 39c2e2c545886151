// What a call's metadata says of repeating it: idempotency-key and last-event-id.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "google/protobuf/message.h"
#include "grpcpp/grpcpp.h"

namespace aibackend::rpc {

inline constexpr size_t kIdempotencyKeyBytesMax = 255;

// The key, if there is one. Errors: IDEMPOTENCY_KEY_INVALID (empty, long, not printable ASCII,
// given twice).
absl::StatusOr<absl::optional<std::string>> IdempotencyKeyOf(
    const grpc::CallbackServerContext& context);

// The position to go on after, if one is named. Errors: FIELD_INVALID (last-event-id).
absl::StatusOr<absl::optional<int64_t>> LastEventIdOf(const grpc::CallbackServerContext& context);

// SHA-256, hexadecimal: of bytes, and of a message such that equal messages have equal ones.
std::string Fingerprint(absl::string_view bytes);
std::string Fingerprint(const google::protobuf::Message& message);

}  // namespace aibackend::rpc
