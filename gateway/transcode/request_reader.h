// An HTTP request to the request message of its route: path variables, query, and body as JSON or
// multipart/form-data. Strict as json_reader.h is: nothing that a client sent is left unread.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "gateway/transcode/error.h"
#include "gateway/transcode/route_table.h"
#include "google/protobuf/message.h"
#include "httplib.h"

namespace aibackend::gateway {

// More parameters than this are no request for us; bounds the work on a hostile query.
inline constexpr size_t kQueryParametersMax = 256;

// The request target, cut but still percent-encoded: "/v1/jobs/a%20b" and "page_size=3".
struct Target {
  absl::string_view path;
  absl::string_view query;
};
// Also for the absolute form, http://host/path. The fragment, which no client should send, is cut.
Target SplitTarget(absl::string_view target);

// Percent-decodes; '+' is a space where `plus_is_space`. nullopt: a bad escape.
std::optional<std::string> PercentDecode(absl::string_view text, bool plus_is_space);

// Fills the empty `message`. `segments` are the raw values of the route's variables (Found).
[[nodiscard]] std::optional<ApiError> ReadRequest(const Route& route,
                                                  const std::vector<std::string>& segments,
                                                  absl::string_view query,
                                                  const httplib::Request& request,
                                                  google::protobuf::Message& message);

}  // namespace aibackend::gateway
