// Listens, and accepts on a thread of its own.
#pragma once

#include <sys/socket.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gateway/http/request_parser.h"

namespace aibackend::gateway::http {

class Acceptor {
 public:
  // Owns the socket, which is non-blocking and has TCP_NODELAY.
  using Accepted = std::function<void(int socket, Peer peer)>;

  // Binds and listens. Fails if `host` doesn't resolve or the port isn't free.
  static absl::StatusOr<std::unique_ptr<Acceptor>> Listen(const std::string& host, int port);
  ~Acceptor();  // Stop()
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  // `accepted` is called on the acceptor's thread.
  void Start(Accepted accepted);
  void Stop();
  int port() const { return port_; }

 private:
  Acceptor() = default;
  absl::Status Open(const std::string& host, int port);
  void Run();
  // False: out of descriptors or memory, and asking again at once would only spin.
  bool AcceptAll();

  int listener_ = -1;
  int wake_ = -1;  // an eventfd
  int port_ = 0;
  std::atomic<bool> stopping_{false};
  Accepted accepted_;
  std::thread thread_;
};

}  // namespace aibackend::gateway::http
