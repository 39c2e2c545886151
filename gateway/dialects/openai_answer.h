// What the answers of OpenAI's chat APIs have in common.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "aibackend/v1/chat.pb.h"

namespace aibackend::gateway {

// What an answer says of itself.
struct AnswerHead {
  std::string id;       // of the request
  int64_t created = 0;  // Unix seconds
  std::string model;    // as it was asked for, until it is known which one answered
};

using TokenLogprobs = google::protobuf::RepeatedPtrField<v1::TokenLogprob>;

// "[{"token","logprob","bytes","top_logprobs"},…]"
std::string LogprobsJson(const TokenLogprobs& logprobs);

// The contract's citations as a list; empty where there are none. nullopt: one has no JSON.
std::optional<std::string> CitationsJson(const v1::ChatResponse& response);

}  // namespace aibackend::gateway
