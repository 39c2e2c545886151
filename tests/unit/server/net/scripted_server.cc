#include "tests/unit/server/net/scripted_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace aibackend::testing {
namespace {

void Check(bool ok) {
  if (!ok) abort();
}

int ListenOnFreePort(int backlog, int* port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  Check(fd >= 0 && bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0);
  Check(listen(fd, backlog) == 0);
  Check(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  *port = ntohs(address.sin_port);
  return fd;
}

// The value of Content-Length in a request's header, or 0.
size_t BodyLength(absl::string_view header) {
  const std::string lower = absl::AsciiStrToLower(header);
  constexpr absl::string_view kName = "\r\ncontent-length:";
  const size_t at = lower.find(std::string(kName));
  size_t length = 0;
  if (at == std::string::npos) return 0;
  const absl::string_view rest = absl::string_view(lower).substr(at + kName.size());
  Check(absl::SimpleAtoi(rest.substr(0, rest.find('\r')), &length));
  return length;
}

}  // namespace

std::string Connection::ReadRequest() {
  for (;;) {
    if (const size_t end = buffered_.find("\r\n\r\n"); end != std::string::npos) {
      const size_t whole = end + 4 + BodyLength(buffered_.substr(0, end + 2));
      if (buffered_.size() >= whole) {
        std::string request = buffered_.substr(0, whole);
        buffered_.erase(0, whole);
        on_request_(request);
        return request;
      }
    }
    char bytes[16384];
    const ssize_t got = recv(fd_, bytes, sizeof bytes, 0);
    if (got <= 0) return {};
    buffered_.append(bytes, static_cast<size_t>(got));
  }
}

void Connection::Send(absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;  // the peer has gone: the test sees it from its side
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
}

void Connection::Reset() {
  const linger abort_on_close{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &abort_on_close, sizeof abort_on_close);
}

bool Connection::SeesEof() {
  char bytes[4096];
  ssize_t got = 0;
  do {
    got = recv(fd_, bytes, sizeof bytes, 0);
  } while (got > 0);
  return true;
}

ScriptedServer::ScriptedServer(Script script) : script_(std::move(script)) {
  listen_fd_ = ListenOnFreePort(1024, &port_);
  accept_thread_ = std::thread([this] { Accept(); });
}

ScriptedServer::~ScriptedServer() {
  shutdown(listen_fd_, SHUT_RDWR);
  accept_thread_.join();
  {
    absl::MutexLock lock(&mutex_);
    for (const int fd : fds_) {
      if (fd >= 0) shutdown(fd, SHUT_RDWR);
    }
  }
  for (std::thread& thread : threads_) thread.join();
  close(listen_fd_);
}

void ScriptedServer::Accept() {
  for (;;) {
    const int fd = accept4(listen_fd_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    size_t index = 0;
    {
      absl::MutexLock lock(&mutex_);
      index = fds_.size();
      fds_.push_back(fd);
    }
    threads_.emplace_back([this, fd, index] {
      Connection connection(fd, [this](const std::string& request) {
        absl::MutexLock lock(&mutex_);
        requests_.push_back(request);
      });
      script_(connection);
      absl::MutexLock lock(&mutex_);
      fds_[index] = -1;
      close(fd);
    });
  }
}

std::string ScriptedServer::origin() const {
  return absl::StrCat("http://127.0.0.1:", port_);
}

std::string ScriptedServer::url(absl::string_view path) const {
  return absl::StrCat(origin(), path);
}

int ScriptedServer::connections() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int>(fds_.size());
}

std::vector<std::string> ScriptedServer::requests() const {
  absl::MutexLock lock(&mutex_);
  return requests_;
}

// Linux takes one connection more than the backlog, then leaves every SYN unanswered.
UnansweredPort::UnansweredPort() {
  listen_fd_ = ListenOnFreePort(0, &port_);
  filler_fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port_));
  Check(connect(filler_fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
}

UnansweredPort::~UnansweredPort() {
  close(filler_fd_);
  close(listen_fd_);
}

std::string UnansweredPort::url() const {
  return absl::StrCat("http://127.0.0.1:", port_, "/");
}

std::string HttpResponse(int status, absl::string_view body, absl::string_view more_headers) {
  return absl::StrCat("HTTP/1.1 ", status, " Whatever\r\n", more_headers,
                      "Content-Length: ", body.size(), "\r\n\r\n", body);
}

std::string ChunkedHeader(absl::string_view content_type) {
  return absl::StrCat("HTTP/1.1 200 OK\r\nContent-Type: ", content_type,
                      "\r\nTransfer-Encoding: chunked\r\n\r\n");
}

std::string Chunk(absl::string_view data) {
  return absl::StrCat(absl::Hex(data.size()), "\r\n", data, "\r\n");
}

}  // namespace aibackend::testing
