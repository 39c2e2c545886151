// What differs between upstreams once they answer: how their JSON reads. The rest of an answer's
// life is UpstreamGeneration's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "server/models/language_model.h"

namespace aibackend::models {

// What an upstream says went wrong; as it came, so not for anyone's eyes yet.
struct UpstreamError {
  std::string message;
  std::string kind;     // the upstream's own word for it
  int http_status = 0;  // the status it stands for, if it says so
};

// A piece of a tool call, or all of it: any of these may be missing.
struct ToolCallPiece {
  absl::optional<int64_t> place;  // the upstream's number of the call: any number
  absl::string_view id;
  absl::string_view name;
  absl::string_view arguments;
};

// As an upstream reported it.
struct ReportedUsage {
  absl::optional<int> prompt_tokens;
  absl::optional<int> completion_tokens;  // all so far
  absl::optional<int> cached_tokens;
  absl::optional<int> reasoning_tokens;
};

// What an event of a stream, or a whole answer, holds. Its views end with the reader's next call,
// and with the text that was read.
struct AnswerPiece {
  bool has_answer = false;  // false: nothing in it is of the model's answer
  absl::string_view reasoning;
  absl::string_view text;
  std::vector<TokenLogprob> logprobs;
  std::vector<ToolCallPiece> tool_calls;
  absl::string_view finish_reason;  // empty: none yet
  absl::string_view stop_sequence;
  bool ends_stream = false;  // nothing comes after it
  ReportedUsage usage;
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
