#include "gateway/http/body_reader.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace aibackend::gateway::http {
namespace {

constexpr size_t kInflateBufferBytes = 16 * 1024;
constexpr size_t kChunkLineBytesMax = 256;  // 16 hex digits and a little extension

MaybeRefused BadCompression(std::string message) {
  return Refused{Refusal::kMalformed, std::move(message)};
}

// Grows as std::string does, but never past the limit.
void AppendBounded(std::string_view data, size_t bytes_max, std::string* out) {
  const size_t needed = out->size() + data.size();
  if (needed > out->capacity())
    out->reserve(std::min(std::max(needed, 2 * out->size()), bytes_max));
  out->append(data);
}

bool IsExtensionCharacter(char c) {
  const auto u = static_cast<unsigned char>(c);
  return c == '\t' || (u >= 0x20 && u != 0x7f);
}

}  // namespace

struct Inflater::Stream {
  z_stream z{};
  bool open = false;
  ~Stream() {
    if (open) inflateEnd(&z);
  }
};

Inflater::Inflater(ContentCoding coding, size_t bytes_max)
    : coding_(coding), bytes_max_(bytes_max), stream_(std::make_unique<Stream>()) {}

Inflater::~Inflater() = default;

// RFC 9110 means the zlib format by "deflate", but bare deflate is sent as well. The first byte
// tells them apart: zlib's method is 8 with a window of at most 2^15 (RFC 1950, 2.2).
MaybeRefused Inflater::Open(char first) {
  const auto byte = static_cast<unsigned char>(first);
  const bool zlib = (byte & 0x0f) == 8 && (byte >> 4) <= 7;
  const int window = coding_ == ContentCoding::kGzip ? MAX_WBITS + 16
                     : zlib                          ? MAX_WBITS
                                                     : -MAX_WBITS;
  if (inflateInit2(&stream_->z, window) != Z_OK) return BadCompression("cannot inflate the body");
  stream_->open = true;
  return std::nullopt;
}

MaybeRefused Inflater::Append(std::string_view compressed, std::string* out) {
  if (compressed.empty()) return std::nullopt;
  if (ended_) return BadCompression("bytes follow the compressed body");
  if (!stream_->open) {
    if (auto refused = Open(compressed.front())) return refused;
  }
  std::array<char, kInflateBufferBytes> buffer;
  z_stream& z = stream_->z;
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(compressed.data()));
  z.avail_in = static_cast<uInt>(compressed.size());
  int result = Z_OK;
  do {
    z.next_out = reinterpret_cast<Bytef*>(buffer.data());
    z.avail_out = static_cast<uInt>(buffer.size());
    result = inflate(&z, Z_NO_FLUSH);
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
      return BadCompression("the compressed body is corrupt");
    }
    const size_t made = buffer.size() - z.avail_out;
    if (made > bytes_max_ - out->size()) {
      return Refused{Refusal::kBodyTooLarge, "the body is too large once inflated"};
    }
    AppendBounded({buffer.data(), made}, bytes_max_, out);
  } while (result != Z_STREAM_END && (z.avail_in > 0 || z.avail_out == 0) && result != Z_BUF_ERROR);
  ended_ = result == Z_STREAM_END;
  if (ended_ && z.avail_in > 0) return BadCompression("bytes follow the compressed body");
  return std::nullopt;
}

MaybeRefused Inflater::Finish() const {
  if (stream_->open && !ended_) return BadCompression("the compressed body is cut short");
  return std::nullopt;
}

BodyReader::BodyReader(const BodyPlan& plan, size_t body_bytes_max, size_t framing_bytes_max,
                       ByteBudget::Share& share)
    : body_bytes_max_(body_bytes_max),
      framing_bytes_left_(framing_bytes_max),
      state_(plan.chunked ? State::kChunkSize : State::kLength),
      left_(plan.length),
      share_(share) {
  if (plan.coding != ContentCoding::kIdentity) {
    inflater_ = std::make_unique<Inflater>(plan.coding, body_bytes_max);
  }
  if (!plan.chunked && left_ == 0) Complete();
}

size_t BodyReader::Feed(std::string_view bytes) {
  size_t used = 0;
  while (!refused_ && state_ != State::kComplete && used < bytes.size()) {
    const std::string_view rest = bytes.substr(used);
    switch (state_) {
      case State::kLength:
        used += FeedData(rest, State::kComplete);
        break;
      case State::kChunkData:
        used += FeedData(rest, State::kChunkEnd);
        break;
      case State::kChunkEnd:
        if (!FeedLine(rest, &used)) break;
        if (!line_.empty()) Refuse(Refusal::kMalformed, "a chunk is longer than it says");
        line_.clear();
        state_ = State::kChunkSize;
        break;
      case State::kChunkSize:
        if (FeedLine(rest, &used)) OnChunkSize();
        break;
      case State::kTrailer:
        if (FeedLine(rest, &used)) OnTrailer();
        break;
      case State::kComplete:
        break;
    }
  }
  return used;
}

size_t BodyReader::FeedData(std::string_view bytes, State next) {
  const size_t size = static_cast<size_t>(std::min<uint64_t>(bytes.size(), left_));
  AppendData(bytes.substr(0, size));
  left_ -= size;
  if (left_ > 0 || refused_) return size;
  if (next == State::kComplete) {
    Complete();
  } else {
    state_ = next;
  }
  return size;
}

bool BodyReader::FeedLine(std::string_view bytes, size_t* used) {
  const size_t line_max = state_ == State::kTrailer ? framing_bytes_left_ : kChunkLineBytesMax;
  const size_t newline = bytes.find('\n');
  const size_t size = std::min(newline, bytes.size());
  if (line_.size() + size > line_max + 1) {
    Refuse(Refusal::kMalformed, "a line of the chunk framing is too long");
    return false;
  }
  line_.append(bytes.substr(0, size));
  *used += std::min(size + 1, bytes.size());
  // After a chunk's data nothing but CRLF may follow: say so before a line's worth has come in.
  if (state_ == State::kChunkEnd && !line_.empty() && line_ != "\r") {
    Refuse(Refusal::kMalformed, "a chunk is longer than it says");
    return false;
  }
  if (newline == std::string_view::npos) return false;
  if (line_.empty() || line_.back() != '\r') {
    Refuse(Refusal::kMalformed, "a line of the chunk framing doesn't end with CRLF");
    return false;
  }
  line_.pop_back();
  return true;
}

void BodyReader::OnChunkSize() {
  constexpr size_t kDigitsMax = 16;  // what surely fits 64 bits
  const std::string line = std::exchange(line_, {});
  size_t digits = 0;
  uint64_t size = 0;
  for (; digits < line.size() && std::isxdigit(static_cast<unsigned char>(line[digits])) != 0;
       ++digits) {
    if (digits == kDigitsMax) return Refuse(Refusal::kMalformed, "a chunk size is too long");
    const char c = static_cast<char>(std::tolower(static_cast<unsigned char>(line[digits])));
    size = size * 16 + static_cast<uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
  }
  const std::string_view extension = std::string_view(line).substr(digits);
  if (digits == 0 || (!extension.empty() && extension.front() != ';') ||
      !std::all_of(extension.begin(), extension.end(), IsExtensionCharacter)) {
    return Refuse(Refusal::kMalformed, "a chunk size isn't a hexadecimal number");
  }
  if (extension.size() > framing_bytes_left_) {
    return Refuse(Refusal::kMalformed, "too many bytes of chunk extensions");
  }
  framing_bytes_left_ -= extension.size();
  if (size > body_bytes_max_ - wire_bytes_) {
    return Refuse(Refusal::kBodyTooLarge, "the body is too large");
  }
  left_ = size;
  state_ = size == 0 ? State::kTrailer : State::kChunkData;
}

void BodyReader::OnTrailer() {
  const std::string line = std::exchange(line_, {});
  if (line.empty()) return Complete();
  if (line.size() + 2 > framing_bytes_left_) {
    return Refuse(Refusal::kHeadersTooLarge, "the trailer is too large");
  }
  framing_bytes_left_ -= line.size() + 2;
  std::string_view name;
  std::string_view value;  // a trailer is checked and left out: nothing here has a use for one
  refused_ = ParseHeaderLine(line, &name, &value);
}

void BodyReader::AppendData(std::string_view data) {
  wire_bytes_ += data.size();
  if (inflater_ != nullptr) {
    refused_ = inflater_->Append(data, &body_);
  } else {
    AppendBounded(data, body_bytes_max_, &body_);
  }
  if (!refused_ && !share_.GrowTo(body_.size())) {
    Refuse(Refusal::kTooManyBytes, "too many large requests are being served; try again");
  }
}

void BodyReader::Complete() {
  state_ = State::kComplete;
  if (inflater_ != nullptr) refused_ = inflater_->Finish();
  inflater_.reset();
}

void BodyReader::Refuse(Refusal why, std::string message) {
  refused_ = Refused{why, std::move(message)};
}

}  // namespace aibackend::gateway::http
