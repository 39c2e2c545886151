// The status line and headers of an answer.
#pragma once

#include <cstddef>
#include <ctime>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "gateway/http/edge.h"
#include "gateway/http/mutex.h"

namespace aibackend::gateway::http {

// The Date header's value, made once a second. Thread-safe.
class DateCache {
 public:
  std::string Now();

 private:
  Mutex mutex_;
  std::time_t second_ ABSL_GUARDED_BY(mutex_) = -1;
  std::string text_ ABSL_GUARDED_BY(mutex_);
};

struct Framing {
  std::optional<size_t> content_length;
  bool chunked = false;
  // The Connection header: close, keep-alive (for HTTP/1.0), or none.
  bool close = false;
  bool keep_alive = false;
};

// Framing headers, Connection and Date are the edge's own: those in `headers` are left out, as is a
// name that isn't a token. Control characters of a value become spaces, so that nothing can add a
// line. A status that isn't a final one becomes 500.
std::string SerializeHead(int status, const HeaderList& headers, const Framing& framing,
                          const std::string& date);

// An answer to which HTTP gives no body whatever its headers say.
bool StatusHasBody(int status);

}  // namespace aibackend::gateway::http
