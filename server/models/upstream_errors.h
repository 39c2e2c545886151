// The failures of upstreams, as our reasons and in words that may leave the server.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/models/answer_reader.h"

namespace aibackend::models {

// Who is asked. Messages name `origin`; `api_key` is here so that it can be kept out of them.
struct Upstream {
  std::string origin;  // scheme://host:port
  std::string api_key;
};

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

// How an answer with an HTTP status other than 200 reads; `error` is what its body says.
// Retry-After goes along where the upstream named one: seconds, or a date measured against its own
// Date header.
absl::Status StatusOfHttpError(const Upstream& upstream, int http_status,
                               const HttpHeaders& headers, const UpstreamError& error);

// How an error object inside an answer that had begun as a 200 reads.
absl::Status StatusOfErrorObject(const Upstream& upstream, const UpstreamError& error);

// An answer that is of no use, and why.
absl::Status BadResponse(const Upstream& upstream, absl::string_view what);

// Of an error's body only the message is of use; more isn't kept.
inline constexpr size_t kErrorBodyBytesMax = size_t{16} * 1024;

// Text from outside on one line: control characters and malformed UTF-8 go, the API key is
// starred out, and it ends after `bytes_max` bytes.
std::string Sanitised(const Upstream& upstream, absl::string_view text, size_t bytes_max);

}  // namespace aibackend::models
