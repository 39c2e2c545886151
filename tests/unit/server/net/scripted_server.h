// An upstream whose every byte the test writes itself: plain sockets, a thread per connection.
#pragma once

#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace aibackend::testing {

// One accepted connection, in the hands of the script. Closed when the script returns.
class Connection {
 public:
  using OnRequest = std::function<void(const std::string&)>;
  Connection(int fd, OnRequest on_request) : fd_(fd), on_request_(std::move(on_request)) {}

  // The next whole request (header and Content-Length body), or "" when the peer has closed.
  std::string ReadRequest();
  void Send(absl::string_view bytes);
  // Ends with RST in place of FIN.
  void Reset();
  // Blocks until the peer closes, and says whether it did.
  bool SeesEof();
  int fd() const { return fd_; }

 private:
  const int fd_;
  const OnRequest on_request_;
  std::string buffered_;  // read, and not yet taken
};

// Listens on a free port of 127.0.0.1 and runs `script` for each connection on a thread of its own.
// The destructor shuts every connection down, which ends scripts that read.
class ScriptedServer {
 public:
  using Script = std::function<void(Connection&)>;

  explicit ScriptedServer(Script script);
  ~ScriptedServer();

  std::string url(absl::string_view path = "/") const;
  std::string origin() const;
  int connections() const;                    // accepted so far
  std::vector<std::string> requests() const;  // read so far

 private:
  void Accept();

  const Script script_;
  int listen_fd_ = -1;
  int port_ = 0;
  mutable absl::Mutex mutex_;
  std::vector<int> fds_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> requests_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;  // the accept thread's, until it has ended
  std::thread accept_thread_;
};

// A port that completes no further handshake: connecting to it hangs.
class UnansweredPort {
 public:
  UnansweredPort();
  ~UnansweredPort();
  std::string url() const;

 private:
  int listen_fd_ = -1;
  int filler_fd_ = -1;
  int port_ = 0;
};

// A response with Content-Length.
std::string HttpResponse(int status, absl::string_view body,
                         absl::string_view more_headers = "Content-Type: application/json\r\n");
// The header of a chunked response, one chunk, and the end.
std::string ChunkedHeader(absl::string_view content_type);
std::string Chunk(absl::string_view data);
inline constexpr absl::string_view kLastChunk = "0\r\n\r\n";

}  // namespace aibackend::testing
