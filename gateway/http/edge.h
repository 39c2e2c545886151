// The HTTP/1.1 edge: many connections on few threads.
//
// cpp-httplib keeps a thread for each connection. Here an accepted socket is parked in epoll; an
// I/O thread reads one whole request under this edge's own limits, then httplib parses it (headers,
// query, multipart) from memory. The handler gets an Exchange and may answer at once, or later from
// any thread, whole or as a stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "httplib.h"

namespace aibackend::gateway {

using HeaderList = std::vector<std::pair<std::string, std::string>>;

// What the edge refuses by itself, before a handler sees it. The status in brackets is what the
// client is answered; the connection is closed after it.
enum class Refusal {
  kMalformed,         // [400] request line, a header, chunk framing, a percent escape of the path
  kBadContentLength,  // [400] two that differ, garbage, or together with Transfer-Encoding
  kHeadersTooLarge,   // [431]
  kBodyTooLarge,      // [413] on the wire or after inflation
  kTimeout,           // [408] the whole request did not arrive in time
  kUnsupportedEncoding,  // [415] Content-Encoding or Transfer-Encoding other than gzip, deflate,
                         // identity / chunked
  kTooManyConnections,   // [503]
  kTooManyBytes,         // [429] of bodies, of all requests together
  kUnanswered,           // [500] the handler dropped the Exchange, or threw
};

struct EdgeOptions {
  std::string host = "127.0.0.1";
  int port = 8080;  // 0: any free one
  int io_threads = 2;
  size_t connections_max = 20'000;
  size_t header_bytes_max = 32 * 1024;  // request line and headers together
  size_t headers_max = 100;
  size_t body_bytes_max = 16 * 1024 * 1024;  // after inflation too
  // Of all requests that are being received or answered, counting what each has above 64 KiB: large
  // bodies that nobody bounds together are all of a machine's memory.
  size_t bodies_bytes_max = 256 * 1024 * 1024;
  absl::Duration request_deadline =
      absl::Seconds(30);  // from the first byte to the last of one request
  absl::Duration idle_timeout = absl::Seconds(75);  // between requests
  absl::Duration stall_timeout =
      absl::Seconds(30);  // a client that reads nothing of what waits for it
  // Makes the headers and the body of a refusal, so that it has the service's error shape. Called
  // from any thread; without it a refusal is its message as plain text.
  std::function<std::pair<HeaderList, std::string>(Refusal, const std::string& message)>
      refusal_answer;
};

// One request and its answer. The handler, and whoever it hands the Exchange to, may call from any
// thread; calls for one exchange must not overlap. Exactly one of: Respond() once, or Begin(),
// Write()…, then End() or Abort(). An Exchange that is dropped unanswered answers 500 (or aborts,
// once begun).
//
// Answers of pipelined requests leave in the order of the requests: the edge starts the next
// request of a connection when the answer before it is complete.
class Exchange {
 public:
  virtual ~Exchange() = default;

  // Valid as long as the Exchange. Header values are as sent (not percent-decoded), `path` is
  // decoded and `target` as sent, `params` hold the query. Body inflated and de-chunked; `files`
  // filled for multipart/form-data.
  virtual const httplib::Request& request() const = 0;

  // Where in a trace the work for this request stands, for whoever does a part of it elsewhere (W3C
  // traceparent); empty: nowhere.
  virtual std::string traceparent() const { return {}; }

  // A whole answer. Adds Content-Length (also for HEAD, whose body is left out), Date, Connection
  // where it closes.
  virtual void Respond(int status, HeaderList headers, std::string body) = 0;

  // Starts a streamed answer (chunked; to HTTP/1.0 clients until close).
  virtual void Begin(int status, HeaderList headers) = 0;
  // Queues a piece and sends what the socket takes. False once the client is gone. Never blocks:
  // ask pending_bytes().
  virtual bool Write(std::string data) = 0;
  // Completes the answer.
  virtual void End() = 0;
  // Breaks the connection without the final chunk, so that no client can take the answer for
  // complete.
  virtual void Abort() = 0;

  // Bytes written but not yet taken by the socket.
  virtual size_t pending_bytes() const = 0;
  // `callback` runs once, soon, when pending_bytes() is at most `bytes` (at once if it is) or the
  // client is gone.
  virtual void WhenPendingAtMost(size_t bytes, std::function<void()> callback) = 0;
  // `callback` runs once if the client goes away before the answer is complete, also while nothing
  // is being written. Set it before handing the exchange on; it never runs after Respond/End/Abort
  // returned. (Those wait for a callback of this exchange that is running on the I/O thread, so
  // hold no lock over them that the callback takes.) A client that closes or half-closes its side
  // while an answer runs counts as gone.
  virtual void WhenClientGone(std::function<void()> callback) = 0;
  virtual bool client_gone() const = 0;

  // Runs `callback` on the connection's I/O thread in about `delay`, unless the exchange is
  // complete or its client gone by then. For heartbeats: coarse (a quarter of a second), cheap.
  virtual void After(absl::Duration delay, std::function<void()> callback) = 0;
};

struct EdgeStats {
  uint64_t connections_open = 0;
  uint64_t connections_accepted = 0;
  uint64_t requests = 0;
  uint64_t refusals = 0;
};

// Thread-safe.
class Edge {
 public:
  // Called on an I/O thread for each request: it must not block.
  using Handler = std::function<void(std::shared_ptr<Exchange>)>;

  // Binds and listens (backlog 4096), and serves from then on.
  static absl::StatusOr<std::unique_ptr<Edge>> Start(EdgeOptions options, Handler handler);
  virtual ~Edge() = default;  // Stop(0)

  virtual int port() const = 0;
  virtual EdgeStats stats() const = 0;
  // Stops accepting, closes idle connections, lets running exchanges end (answers say Connection:
  // close); after `grace` aborts what is left. Blocks until all are gone, so not to be called from
  // a handler or callback. A second call returns when the first has.
  virtual void Stop(absl::Duration grace) = 0;
};

}  // namespace aibackend::gateway
