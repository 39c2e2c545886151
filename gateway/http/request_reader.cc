#include "gateway/http/request_reader.h"

#include <algorithm>
#include <utility>

namespace aibackend::gateway::http {

size_t RequestReader::Feed(std::string_view bytes) {
  size_t used = 0;
  if (bytes.empty()) return used;
  if (state_ == State::kIdle) state_ = State::kHead;
  if (state_ == State::kHead) {
    used += SkipLeadingLine(bytes);
    if (state_ == State::kHead) used += FeedHead(bytes.substr(used));
  }
  if (state_ == State::kBody) {
    const std::string_view rest = bytes.substr(used);
    if (!rest.empty()) continue_wanted_ = false;  // it didn't wait
    used += body_->Feed(rest);
    if (body_->refused()) {
      Refuse(*body_->refused());
    } else if (body_->complete()) {
      state_ = State::kComplete;
    }
  }
  return used;
}

// One empty line before a request is let pass: old clients send it after a body (RFC 9112, 2.2).
size_t RequestReader::SkipLeadingLine(std::string_view bytes) {
  if (!bytes_.empty()) return 0;
  size_t used = 0;
  constexpr std::string_view kEmptyLine = "\r\n";
  while (used < bytes.size() && skipped_ < kEmptyLine.size() &&
         bytes[used] == kEmptyLine[skipped_]) {
    ++used;
    ++skipped_;
  }
  // Another protocol spoken at this port is told so by its first byte.
  if (used < bytes.size() && (skipped_ == 1 || !IsTokenCharacter(bytes[used]))) {
    Refuse({Refusal::kMalformed, "this isn't an HTTP request"});
  }
  return used;
}

size_t RequestReader::FeedHead(std::string_view bytes) {
  const size_t base = bytes_.size();
  size_t from = 0;
  for (;;) {
    const size_t newline = bytes.find('\n', from);
    if (newline == std::string_view::npos) break;
    if (base + newline + 1 > options_.header_bytes_max) break;
    const char before = newline > 0 ? bytes[newline - 1] : (base > 0 ? bytes_.back() : '\0');
    if (before != '\r') {
      Refuse({Refusal::kMalformed, "a line of the head doesn't end with CRLF"});
      return newline + 1;
    }
    const size_t line_end = base + newline + 1;
    if (line_end - line_start_ == 2) {
      bytes_.append(bytes.substr(0, newline + 1));
      OnHead();
      return newline + 1;
    }
    line_start_ = line_end;
    from = newline + 1;
    if (++lines_ > options_.headers_max + 1) {
      Refuse({Refusal::kHeadersTooLarge, "too many headers"});
      return from;
    }
  }
  if (base + bytes.size() > options_.header_bytes_max) {
    Refuse({Refusal::kHeadersTooLarge, "the request line and headers are too large"});
    return bytes.size();
  }
  bytes_.append(bytes);
  return bytes.size();
}

void RequestReader::OnHead() {
  const std::string bytes = std::exchange(bytes_, {});
  if (auto refused = ParseHead(std::string_view(bytes).substr(0, line_start_), &head_)) {
    return Refuse(*std::move(refused));
  }
  if (auto refused = PlanBody(head_, options_.body_bytes_max, &plan_)) {
    return Refuse(*std::move(refused));
  }
  if (!plan_.chunked && plan_.length == 0) {
    state_ = State::kComplete;
    return;
  }
  body_ = std::make_unique<BodyReader>(plan_, options_.body_bytes_max, options_.header_bytes_max,
                                       share_);
  continue_wanted_ = plan_.expects_continue;
  state_ = State::kBody;
}

bool RequestReader::TakeContinue() {
  return state_ == State::kBody && std::exchange(continue_wanted_, false);
}

void RequestReader::Reset() {
  state_ = State::kIdle;
  bytes_ = {};
  line_start_ = lines_ = skipped_ = 0;
  head_ = {};
  plan_ = {};
  continue_wanted_ = false;
  body_.reset();
  share_ = ByteBudget::Share(bodies_);
  refused_.reset();
}

void RequestReader::Refuse(Refused refused) {
  state_ = State::kRefused;
  bytes_ = {};
  body_.reset();
  share_ = ByteBudget::Share(bodies_);
  refused_ = std::move(refused);
}

}  // namespace aibackend::gateway::http
