// What a model's tokens cost: the formula, without the book that knows whose price is which.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/optional.h"
#include "server/base/money.h"

namespace aibackend::usage {

// Nano-USD for a million tokens. 0.15 USD for a million is 150'000'000.
struct PriceValues {
  static constexpr int64_t kMax = 1'000'000'000'000'000;  // the contract's: a dollar a token

  int64_t input = 0;
  int64_t output = 0;
  absl::optional<int64_t> cached_input;  // absent: as input
  absl::optional<int64_t> reasoning;     // absent: as output

  int64_t cached() const { return cached_input.value_or(input); }
  int64_t reasoned() const { return reasoning.value_or(output); }
  friend bool operator==(const PriceValues& a, const PriceValues& b) {
    return a.input == b.input && a.output == b.output && a.cached_input == b.cached_input &&
           a.reasoning == b.reasoning;
  }
};

struct Tokens {
  int64_t prompt = 0;
  int64_t completion = 0;
  int64_t cached = 0;     // of prompt
  int64_t reasoning = 0;  // of completion
};

// FIELD_OUT_OF_RANGE, naming the field as SetPriceRequest does, unless each is 0 to kMax.
absl::Status CheckPrice(const PriceValues& values);

// (prompt - cached) * input + cached * cached_input + (completion - reasoning) * output +
// reasoning * reasoning, divided by a million once and rounded half up. A count below 0 is 0;
// cached is at most prompt, and reasoning at most completion. Saturates at what NanoUsd can hold.
NanoUsd CostOf(const PriceValues& values, const Tokens& tokens);

// The most that such a request can cost, however many of its tokens turn out cached or reasoning:
// rounded up, so it is never below CostOf.
NanoUsd MostOf(const PriceValues& values, int64_t prompt_tokens, int64_t completion_tokens);

// a + b, or the greatest (least) integer where that doesn't fit.
int64_t SaturatingAdd(int64_t a, int64_t b);

}  // namespace aibackend::usage
