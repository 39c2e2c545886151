// The asynchronous HTTP client for what is upstream: libcurl's socket-action interface on one event
// thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace aibackend::net {

struct HttpTimeouts {
  absl::Duration connect = absl::Seconds(2);
  absl::Duration first_byte =
      absl::Seconds(30);  // from the request's start to the first byte of the body
  absl::Duration idle = absl::Seconds(30);  // between two reads of the body
  absl::Duration total = absl::Minutes(10);
};

struct HttpRequest {
  std::string method = "POST";
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  HttpTimeouts timeouts;
  size_t response_bytes_max = size_t{32} * 1024 * 1024;
};

// Receives one response, always on the client's event thread: it must not block. OnHeaders once
// (not on a failure before it), OnBody in order, OnDone exactly once and last.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  // `headers` have lower-case names.
  virtual void OnHeaders(int status,
                         const std::vector<std::pair<std::string, std::string>>& headers) = 0;
  virtual void OnBody(absl::string_view data) = 0;
  // OK: the response is complete as its framing says, whatever its HTTP status. Else
  // UPSTREAM_UNAVAILABLE (connect, DNS, TLS, reset before headers), UPSTREAM_TIMEOUT (the message
  // says which), UPSTREAM_TRUNCATED (cut after headers), UPSTREAM_BAD_RESPONSE (not HTTP, too
  // large) or CANCELLED. Messages name the host, never a header or a body.
  virtual void OnDone(absl::Status status) = 0;
};

// A call under way. Dropping it does not cancel it.
class HttpCall {
 public:
  virtual ~HttpCall() = default;
  // Closes the connection; OnDone(CANCELLED) follows unless the call had ended. Idempotent,
  // thread-safe.
  virtual void Cancel() = 0;
};

// Thread-safe. Connections are kept and reused; redirects are not followed; proxies of the
// environment are not used. A request is sent at most once: one that met a kept connection as it
// died is UPSTREAM_UNAVAILABLE, and whether to ask again is for who asked. The destructor cancels
// what runs.
class HttpClient {
 public:
  struct Options {
    size_t connections_max = 4096;  // open at once
    size_t idle_connections_max = 256;
  };
  explicit HttpClient(Options options);
  ~HttpClient();

  std::shared_ptr<HttpCall> Start(HttpRequest request, std::shared_ptr<HttpHandler> handler);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace aibackend::net
