// The body of a request as its bytes come in: de-chunked, inflated, bounded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "gateway/http/byte_budget.h"
#include "gateway/http/request_head.h"

namespace aibackend::gateway::http {

// Inflates gzip or deflate piece by piece. Output stops at the limit, so a bomb costs no more than
// the limit and one buffer.
class Inflater {
 public:
  Inflater(ContentCoding coding, size_t bytes_max);
  ~Inflater();
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  MaybeRefused Append(std::string_view compressed, std::string* out);
  // At the end of the body: was the stream whole?
  MaybeRefused Finish() const;

 private:
  struct Stream;

  MaybeRefused Open(char first);

  const ContentCoding coding_;
  const size_t bytes_max_;
  std::unique_ptr<Stream> stream_;
  bool ended_ = false;
};

class BodyReader {
 public:
  // `framing_bytes_max` bounds what a chunked body may spend on extensions and trailers.
  // `share` is what the body may take of the edge's memory.
  BodyReader(const BodyPlan& plan, size_t body_bytes_max, size_t framing_bytes_max,
             ByteBudget::Share& share);

  // Takes what belongs to the body and returns how many bytes that was.
  size_t Feed(std::string_view bytes);

  bool complete() const { return state_ == State::kComplete && !refused_; }
  const MaybeRefused& refused() const { return refused_; }
  std::string TakeBody() { return std::move(body_); }

 private:
  enum class State { kLength, kChunkSize, kChunkData, kChunkEnd, kTrailer, kComplete };

  size_t FeedData(std::string_view bytes, State next);
  // Collects a line of the chunk framing; true when it is whole in `line_`.
  bool FeedLine(std::string_view bytes, size_t* used);
  void OnChunkSize();
  void OnTrailer();
  void AppendData(std::string_view data);
  void Complete();
  void Refuse(Refusal why, std::string message);

  const size_t body_bytes_max_;
  size_t framing_bytes_left_;
  State state_;
  uint64_t left_;          // of the body or of the chunk
  size_t wire_bytes_ = 0;  // of data, before inflation
  std::string line_;
  std::unique_ptr<Inflater> inflater_;
  std::string body_;
  ByteBudget::Share& share_;
  MaybeRefused refused_;
};

}  // namespace aibackend::gateway::http
