// What waits to be sent on a socket. Not thread-safe.
#pragma once

#include <cstddef>
#include <list>
#include <string>

namespace aibackend::gateway::http {

class OutputQueue {
 public:
  enum class Sent { kAll, kBlocked, kFailed };

  void Append(std::string piece);
  // Sends what the socket takes. `bytes_sent` says how much that was, also when the rest failed.
  Sent SendTo(int socket, size_t* bytes_sent);
  void Clear();

  size_t bytes() const { return bytes_; }
  bool empty() const { return bytes_ == 0; }

 private:
  void Drop(size_t bytes);

  std::list<std::string> pieces_;  // of an idle connection: no memory
  size_t front_offset_ = 0;        // sent bytes of the first piece
  size_t bytes_ = 0;
};

}  // namespace aibackend::gateway::http
