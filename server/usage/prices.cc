#include "server/usage/prices.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/numeric/int128.h"
#include "absl/strings/str_cat.h"
#include "server/base/status.h"

namespace aibackend::usage {
namespace {

constexpr uint64_t kMillion = 1'000'000;

// Below 2^126. The counts of one request's four products come to less than 2^64 in all, so their
// sum is below 2^127.
absl::uint128 Product(int64_t tokens, int64_t price) {
  return absl::uint128(static_cast<uint64_t>(tokens)) *
         static_cast<uint64_t>(std::max<int64_t>(price, 0));
}

NanoUsd Millionth(absl::uint128 sum, uint64_t rounding) {
  const absl::uint128 quotient = sum / kMillion;
  const bool up = static_cast<uint64_t>(sum % kMillion) + rounding >= kMillion;
  const absl::uint128 rounded = quotient + (up ? 1u : 0u);
  constexpr auto kMost = std::numeric_limits<int64_t>::max();
  return {rounded > absl::uint128(kMost) ? kMost : static_cast<int64_t>(rounded)};
}

}  // namespace

absl::Status CheckPrice(const PriceValues& values) {
  const std::pair<int64_t, const char*> fields[] = {
      {values.input, "input_nano_usd_per_million"},
      {values.output, "output_nano_usd_per_million"},
      {values.cached(), "cached_input_nano_usd_per_million"},
      {values.reasoned(), "reasoning_nano_usd_per_million"}};
  for (const auto& [value, name] : fields) {
    if (value >= 0 && value <= PriceValues::kMax) continue;
    return MakeError(Reason::FIELD_OUT_OF_RANGE, absl::StrCat("must be 0 to ", PriceValues::kMax),
                     name);
  }
  return absl::OkStatus();
}

NanoUsd CostOf(const PriceValues& values, const Tokens& tokens) {
  const int64_t prompt = std::max<int64_t>(tokens.prompt, 0);
  const int64_t completion = std::max<int64_t>(tokens.completion, 0);
  const int64_t cached = std::clamp<int64_t>(tokens.cached, 0, prompt);
  const int64_t reasoning = std::clamp<int64_t>(tokens.reasoning, 0, completion);
  return Millionth(Product(prompt - cached, values.input) + Product(cached, values.cached()) +
                       Product(completion - reasoning, values.output) +
                       Product(reasoning, values.reasoned()),
                   kMillion / 2);
}

NanoUsd MostOf(const PriceValues& values, int64_t prompt_tokens, int64_t completion_tokens) {
  return Millionth(
      Product(std::max<int64_t>(prompt_tokens, 0), std::max(values.input, values.cached())) +
          Product(std::max<int64_t>(completion_tokens, 0),
                  std::max(values.output, values.reasoned())),
      kMillion - 1);
}

int64_t SaturatingAdd(int64_t a, int64_t b) {
  int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return a > 0 ? std::numeric_limits<int64_t>::max() : std::numeric_limits<int64_t>::min();
}

}  // namespace aibackend::usage
