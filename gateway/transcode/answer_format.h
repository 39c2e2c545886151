// How the answer to a call looks to its client. The calls themselves (unary_call, stream_call) know
// gRPC, backpressure, heartbeats and cancellation, and nothing of shapes; the contract's own shapes
// are in contract_format.h, other people's in dialects/.
//
// One object serves one call, and is used by one thread at a time.
#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "gateway/http/edge.h"
#include "gateway/transcode/error.h"
#include "google/protobuf/message.h"

namespace aibackend::gateway {

struct HttpAnswer {
  int status = 200;
  HeaderList headers;  // with Content-Type
  std::string body;
};

// What both kinds of calls have.
class ErrorFormat {
 public:
  virtual ~ErrorFormat() = default;
  // An error before anything was sent.
  virtual HttpAnswer Error(const ApiError& error, const std::string& request_id) = 0;
};

class UnaryFormat : public ErrorFormat {
 public:
  // nullopt: the message can't be put so, which a sound server never makes happen.
  virtual std::optional<HttpAnswer> Answer(const google::protobuf::Message& response) = 0;
};

class StreamFormat : public ErrorFormat {
 public:
  // Status and headers, before the first byte.
  virtual HttpAnswer Head() = 0;
  // The bytes for one message; may be empty, where it is to be held back. nullopt: as above.
  virtual std::optional<std::string> Event(const google::protobuf::Message& message) = 0;
  // The last bytes, after the call was OK. nullopt: the stream lacks its end, and is an error.
  virtual std::optional<std::string> End() = 0;
  // The last bytes of a stream that had begun and fails. nullopt: there is no place for an error,
  // and the connection is to break.
  virtual std::optional<std::string> ErrorEvent(const ApiError& error,
                                                const std::string& request_id) = 0;
  // What shows life where nothing flows; empty: nothing can.
  virtual absl::string_view Heartbeat() = 0;
};

}  // namespace aibackend::gateway
