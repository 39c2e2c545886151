// Why the edge turns a request away by itself.
#pragma once

#include <optional>
#include <string>

#include "gateway/http/edge.h"

namespace aibackend::gateway::http {

struct Refused {
  Refusal why;
  std::string message;
};

// What a check says: nothing, or why not.
using MaybeRefused = std::optional<Refused>;

inline int StatusOf(Refusal refusal) {
  switch (refusal) {
    case Refusal::kMalformed:
    case Refusal::kBadContentLength:
      return 400;
    case Refusal::kHeadersTooLarge:
      return 431;
    case Refusal::kBodyTooLarge:
      return 413;
    case Refusal::kTimeout:
      return 408;
    case Refusal::kUnsupportedEncoding:
      return 415;
    case Refusal::kTooManyConnections:
      return 503;
    case Refusal::kTooManyBytes:
      return 429;
    case Refusal::kUnanswered:
      return 500;
  }
  return 500;
}

}  // namespace aibackend::gateway::http
