#include "gateway/http/acceptor.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace aibackend::gateway::http {
namespace {

constexpr int kBacklog = 4096;  // a burst of reconnecting clients; the kernel caps it at somaxconn
// With no descriptor left, new connections wait in the backlog until others end.
constexpr int kPauseMilliseconds = 100;

absl::Status SystemError(absl::string_view what) {
  return absl::UnavailableError(absl::StrCat(what, ": ", std::strerror(errno)));
}

Peer PeerOf(const sockaddr_storage& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
    return {text.data(), ntohs(v4.sin_port)};
  }
  if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
    return {text.data(), ntohs(v6.sin6_port)};
  }
  return {};
}

// -1 with errno set.
int ListenOn(const addrinfo& address) {
  const int fd = socket(address.ai_family, address.ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(fd, address.ai_addr, address.ai_addrlen) == 0 && listen(fd, kBacklog) == 0) return fd;
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Acceptor>> Acceptor::Listen(const std::string& host, int port) {
  std::unique_ptr<Acceptor> acceptor(new Acceptor());
  if (absl::Status status = acceptor->Open(host, port); !status.ok()) return status;
  return acceptor;
}

Acceptor::~Acceptor() {
  Stop();
  if (listener_ >= 0) close(listener_);
  if (wake_ >= 0) close(wake_);
}

absl::Status Acceptor::Open(const std::string& host, int port) {
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_ < 0) return SystemError("eventfd");
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int result = getaddrinfo(host.empty() ? nullptr : host.c_str(),
                                 std::to_string(port).c_str(), &hints, &found);
  if (result != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot listen on ", host, ":", port, ": ", gai_strerror(result)));
  }
  for (const addrinfo* address = found; address != nullptr && listener_ < 0;
       address = address->ai_next) {
    listener_ = ListenOn(*address);
  }
  const int error = errno;
  freeaddrinfo(found);
  errno = error;
  if (listener_ < 0) return SystemError(absl::StrCat("cannot listen on ", host, ":", port));
  sockaddr_storage bound{};
  socklen_t size = sizeof(bound);
  if (getsockname(listener_, reinterpret_cast<sockaddr*>(&bound), &size) != 0) {
    return SystemError("getsockname");
  }
  port_ = PeerOf(bound).port;
  return absl::OkStatus();
}

void Acceptor::Start(Accepted accepted) {
  accepted_ = std::move(accepted);
  thread_ = std::thread([this] { Run(); });
}

void Acceptor::Stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_, &one, sizeof(one));
  thread_.join();
  // From now on connecting is refused, rather than accepted by the kernel and left alone.
  close(std::exchange(listener_, -1));
}

void Acceptor::Run() {
  bool pause = false;
  while (!stopping_) {
    std::array<pollfd, 2> watched = {{{wake_, POLLIN, 0}, {listener_, POLLIN, 0}}};
    poll(watched.data(), pause ? 1 : 2, pause ? kPauseMilliseconds : -1);
    if (!stopping_) pause = !AcceptAll();
  }
}

bool Acceptor::AcceptAll() {
  while (!stopping_) {
    sockaddr_storage address{};
    socklen_t size = sizeof(address);
    const int fd = accept4(listener_, reinterpret_cast<sockaddr*>(&address), &size,
                           SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      accepted_(fd, PeerOf(address));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return true;
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      return false;
    }
    // Otherwise that one connection failed before it was accepted (accept(2)): the next.
  }
  return true;
}

}  // namespace aibackend::gateway::http
