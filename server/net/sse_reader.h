// Reads text/event-stream as it arrives, in pieces of any size.
#pragma once

#include <cstddef>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"

namespace aibackend::net {

// Valid only during the callback.
struct SseEvent {
  absl::string_view type;  // "message" unless the stream named one
  absl::string_view data;  // its lines joined by '\n'
  absl::string_view id;    // the last id the stream gave, which may be an earlier event's
};

// The parser of html.spec.whatwg.org, section 9.2.6 "Interpreting an event stream": lines end in
// CR, LF or CRLF, a leading BOM and comments are skipped, an event without data is none, and an
// event that the stream's end cuts off is never reported.
//
// Not thread-safe. Bytes are taken as they are; whether they are UTF-8 is for who reads the data.
class SseReader {
 public:
  // An event is held until its blank line arrives, so its size is bounded.
  static constexpr size_t kEventBytesMax = size_t{1024} * 1024;

  explicit SseReader(size_t event_bytes_max = kEventBytesMax);

  // Reports each event that `piece` completes, in order, until `on_event` returns false; the rest
  // of the piece is dropped then. UPSTREAM_BAD_RESPONSE, now and ever after, when a line or an
  // event is larger than allowed.
  absl::Status Feed(absl::string_view piece, absl::FunctionRef<bool(const SseEvent&)> on_event);

  // Something came after the last whole event: what stops here was cut.
  bool InsideEvent() const;

  // The reconnection time the stream asked for.
  absl::optional<absl::Duration> retry() const { return retry_; }

 private:
  using OnEvent = absl::FunctionRef<bool(const SseEvent&)>;

  absl::string_view SkipBom(absl::string_view piece);
  bool TakeLine(absl::string_view line, OnEvent on_event);
  void TakeField(absl::string_view name, absl::string_view value);
  bool Dispatch(OnEvent on_event);
  absl::Status TooLarge();

  const size_t event_bytes_max_;
  bool failed_ = false;
  size_t bom_matched_ = 0;  // bytes of the BOM seen so far
  bool at_start_ = true;    // no byte but the BOM's has been seen
  bool skip_lf_ = false;    // the last line ended in CR: an LF right after belongs to it
  std::string line_;        // the beginning of a line whose end hasn't arrived
  std::string type_;
  std::string data_;
  bool has_data_ = false;
  std::string id_;
  absl::optional<absl::Duration> retry_;
};

}  // namespace aibackend::net
