// A client that sends exactly the bytes it is told to, and sees exactly how an answer ends.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace aibackend::gateway {

struct RawAnswer {
  int status = 0;
  std::string head;                            // status line and headers
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // de-chunked
  bool complete = false;                       // framed to its end; false: cut off before
};

class RawClient {
 public:
  // Small buffers make the other side feel a slow reader early.
  explicit RawClient(int port, int receive_buffer_bytes = 0);
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool connected() const { return connected_; }
  // False: the other side has closed.
  bool Send(std::string_view bytes);
  void HalfClose();
  void Close();
  // The next answer; `to_head` answers a HEAD request. Waits at most half a minute for each piece.
  RawAnswer Read(bool to_head = false);
  // As many bytes as come in one go; empty at the end.
  std::string ReadSome();
  // Until the end: true for an orderly end, false for a reset.
  bool ReadToEnd(std::string* bytes);

 private:
  bool Fill();
  bool ReadLine(std::string* line);
  void ReadBody(bool to_head, RawAnswer* answer);

  int fd_ = -1;
  bool connected_ = false;
  bool reset_ = false;
  std::string buffer_;
};

}  // namespace aibackend::gateway
