// What differs between upstreams once they answer: how their JSON reads. The rest of an answer's
// life is UpstreamGeneration's.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace aibackend::models {

// What an upstream says went wrong; as it came, so not for anyone's eyes yet.
struct UpstreamError {
  std::string message;
  std::string kind;     // the upstream's own word for it
  int http_status = 0;  // the status it stands for, if it says so
};

// What an event of a stream, or a whole answer, holds.
struct AnswerPiece {
  bool has_answer = false;  // false: nothing in it is of the model's answer
  std::string text;
  std::string finish_reason;  // empty: none yet
  bool has_tool_call = false;
  bool ends_stream = false;  // nothing comes after it
  absl::optional<int> prompt_tokens;
  absl::optional<int> completion_tokens;  // all so far
  absl::optional<UpstreamError> error;
};

// Reads the answer of one upstream to one request. Not thread-safe.
//
// Fields that are missing or of another type count as absent. What is no JSON object is
// UPSTREAM_BAD_RESPONSE.
class AnswerReader {
 public:
  virtual ~AnswerReader() = default;
  // `type` is the event's name, `data` isn't empty.
  virtual absl::StatusOr<AnswerPiece> ReadEvent(absl::string_view type, absl::string_view data) = 0;
  virtual absl::StatusOr<AnswerPiece> ReadWhole(absl::string_view body) = 0;
  // Of a body that came with an HTTP error; it may be anything, and what can't be read is empty.
  virtual UpstreamError ReadError(absl::string_view body) = 0;
};

}  // namespace aibackend::models
