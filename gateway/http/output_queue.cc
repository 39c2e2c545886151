#include "gateway/http/output_queue.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <utility>

namespace aibackend::gateway::http {
namespace {

constexpr size_t kPiecesPerSendMax = 16;
// Small pieces are joined up to this, so that thousands of tokens aren't thousands of strings.
constexpr size_t kJoinedBytesMax = 16 * 1024;

}  // namespace

void OutputQueue::Append(std::string piece) {
  if (piece.empty()) return;
  bytes_ += piece.size();
  if (!pieces_.empty() && pieces_.back().size() + piece.size() <= kJoinedBytesMax) {
    pieces_.back().append(piece);
  } else {
    pieces_.push_back(std::move(piece));
  }
}

OutputQueue::Sent OutputQueue::SendTo(int socket, size_t* bytes_sent) {
  *bytes_sent = 0;
  while (bytes_ > 0) {
    std::array<iovec, kPiecesPerSendMax> vectors;
    size_t count = 0;
    for (auto piece = pieces_.begin(); piece != pieces_.end() && count < vectors.size(); ++piece) {
      const size_t offset = count == 0 ? front_offset_ : 0;
      vectors[count++] = {piece->data() + offset, piece->size() - offset};
    }
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = count;
    const ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? Sent::kBlocked : Sent::kFailed;
    *bytes_sent += static_cast<size_t>(sent);
    Drop(static_cast<size_t>(sent));
  }
  return Sent::kAll;
}

void OutputQueue::Drop(size_t bytes) {
  bytes_ -= bytes;
  while (bytes > 0) {
    const size_t left = pieces_.front().size() - front_offset_;
    if (bytes < left) {
      front_offset_ += bytes;
      return;
    }
    bytes -= left;
    front_offset_ = 0;
    pieces_.pop_front();
  }
}

void OutputQueue::Clear() {
  pieces_.clear();
  front_offset_ = 0;
  bytes_ = 0;
}

}  // namespace aibackend::gateway::http
