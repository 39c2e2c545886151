// What a call of the client gives back: its answer, or everything that is known about its failure.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/time/time.h"

namespace aibackend::client {

struct ClientError {
  std::string code;        // the name of the gRPC code: "INVALID_ARGUMENT"
  std::string reason;      // the name of a reason of errors.proto: "TEMPERATURE_OUT_OF_RANGE"
  std::string field;       // the request field at fault; empty where the error is about none
  std::string message;     // for a person
  std::string request_id;  // finds the call in the server's log; may be empty
  std::optional<absl::Duration> retry_after;  // set where the server says when to try again
};

// A T or a ClientError. `*` and `->` need ok(), error() needs !ok(); otherwise they throw
// std::bad_variant_access.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}
  Result(ClientError error) : value_(std::move(error)) {}

  bool ok() const { return std::holds_alternative<T>(value_); }
  const T& operator*() const& { return std::get<T>(value_); }
  T& operator*() & { return std::get<T>(value_); }
  T&& operator*() && { return std::get<T>(std::move(value_)); }
  const T* operator->() const { return &std::get<T>(value_); }
  T* operator->() { return &std::get<T>(value_); }
  const ClientError& error() const { return std::get<ClientError>(value_); }

 private:
  std::variant<T, ClientError> value_;
};

}  // namespace aibackend::client
