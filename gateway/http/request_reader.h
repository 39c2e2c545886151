// Cuts a connection's bytes into requests, under the edge's limits. Not thread-safe.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "gateway/http/body_reader.h"
#include "gateway/http/edge.h"
#include "gateway/http/request_head.h"

namespace aibackend::gateway::http {

class RequestReader {
 public:
  enum class State {
    kIdle,  // no byte of a request yet
    kHead,
    kBody,
    kComplete,
    kRefused,
  };

  // `options` and `bodies` must outlive the reader.
  RequestReader(const EdgeOptions& options, ByteBudget& bodies)
      : options_(options), bodies_(bodies), share_(bodies) {}

  // Takes what belongs to the current request, and returns how many bytes that was. Takes none once
  // the request is complete or refused.
  size_t Feed(std::string_view bytes);

  State state() const { return state_; }
  const Refused& refused() const { return *refused_; }

  // True once, if the client waits for "100 Continue" before it sends the body.
  bool TakeContinue();

  // When complete.
  RequestHead& head() { return head_; }
  const BodyPlan& plan() const { return plan_; }
  std::string TakeBody() { return body_ == nullptr ? std::string() : body_->TakeBody(); }
  // What the body takes of the budget: to be kept as long as the body is.
  ByteBudget::Share TakeShare() { return std::move(share_); }

  // For the next request.
  void Reset();

 private:
  size_t SkipLeadingLine(std::string_view bytes);
  size_t FeedHead(std::string_view bytes);
  void OnHead();
  void Refuse(Refused refused);

  const EdgeOptions& options_;
  ByteBudget& bodies_;
  State state_ = State::kIdle;
  std::string bytes_;      // of the head
  size_t line_start_ = 0;  // in bytes_
  size_t lines_ = 0;       // whole ones in bytes_
  size_t skipped_ = 0;
  RequestHead head_;
  BodyPlan plan_;
  bool continue_wanted_ = false;
  ByteBudget::Share share_;
  std::unique_ptr<BodyReader> body_;
  MaybeRefused refused_;
};

}  // namespace aibackend::gateway::http
