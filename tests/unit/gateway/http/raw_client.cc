#include "raw_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstdlib>

namespace aibackend::gateway {
namespace {

constexpr time_t kWatchdogSeconds = 30;

}  // namespace

RawClient::RawClient(int port, int receive_buffer_bytes) {
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval watchdog{kWatchdogSeconds, 0};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &watchdog, sizeof(watchdog));
  setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &watchdog, sizeof(watchdog));
  if (receive_buffer_bytes > 0) {
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof(receive_buffer_bytes));
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
}

RawClient::~RawClient() {
  Close();
}

bool RawClient::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

void RawClient::HalfClose() {
  shutdown(fd_, SHUT_WR);
}

void RawClient::Close() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

bool RawClient::Fill() {
  std::array<char, 65536> bytes;
  const ssize_t received = recv(fd_, bytes.data(), bytes.size(), 0);
  if (received > 0) buffer_.append(bytes.data(), static_cast<size_t>(received));
  if (received < 0) reset_ = errno == ECONNRESET;
  return received > 0;
}

std::string RawClient::ReadSome() {
  if (buffer_.empty()) Fill();
  return std::move(buffer_);
}

bool RawClient::ReadToEnd(std::string* bytes) {
  while (Fill()) {
  }
  *bytes = std::move(buffer_);
  return !reset_;
}

bool RawClient::ReadLine(std::string* line) {
  size_t end = 0;
  while ((end = buffer_.find("\r\n")) == std::string::npos) {
    if (!Fill()) return false;
  }
  *line = buffer_.substr(0, end);
  buffer_.erase(0, end + 2);
  return true;
}

RawAnswer RawClient::Read(bool to_head) {
  RawAnswer answer;
  std::string line;
  while (ReadLine(&line) && !line.empty()) {
    answer.head += line + "\n";
    const size_t colon = line.find(": ");
    if (answer.status == 0) {
      answer.status = std::atoi(line.substr(line.find(' ') + 1).c_str());
    } else if (colon != std::string::npos) {
      std::string name = line.substr(0, colon);
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      answer.headers[name] = line.substr(colon + 2);
    }
  }
  if (answer.status >= 200) ReadBody(to_head, &answer);
  return answer;
}

void RawClient::ReadBody(bool to_head, RawAnswer* answer) {
  const auto take = [this](size_t size, std::string* to) {
    while (buffer_.size() < size) {
      if (!Fill()) return false;
    }
    to->append(buffer_, 0, size);
    buffer_.erase(0, size);
    return true;
  };
  if (to_head || answer->status == 204 || answer->status == 304) {
    answer->complete = true;
  } else if (answer->headers.count("content-length") != 0) {
    const auto size = std::strtoull(answer->headers["content-length"].c_str(), nullptr, 10);
    answer->complete = take(size, &answer->body);
  } else if (answer->headers.count("transfer-encoding") != 0) {
    std::string line;
    while (ReadLine(&line)) {
      const auto size = std::strtoull(line.c_str(), nullptr, 16);
      std::string ended;
      if (!take(size, &answer->body) || !ReadLine(&ended)) return;
      if (size == 0) {
        answer->complete = true;
        return;
      }
    }
  } else {
    answer->complete = ReadToEnd(&answer->body);
  }
}

}  // namespace aibackend::gateway
