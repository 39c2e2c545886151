#include "server/usage/prices.h"

#include <algorithm>
#include <limits>
#include <random>

#include "absl/numeric/int128.h"
#include "gmock/gmock.h"
#include "server/base/status.h"

namespace aibackend::usage {
namespace {

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

// The contract's sentence, written down with numbers that never overflow and no cleverness.
int64_t PlainCost(const PriceValues& p, int64_t prompt, int64_t completion, int64_t cached,
                  int64_t reasoning) {
  const absl::int128 sum = absl::int128(prompt - cached) * p.input +
                           absl::int128(cached) * p.cached_input.value_or(p.input) +
                           absl::int128(completion - reasoning) * p.output +
                           absl::int128(reasoning) * p.reasoning.value_or(p.output);
  const absl::int128 rounded = (2 * sum + 1'000'000) / 2'000'000;
  return rounded > absl::int128(kMost) ? kMost : static_cast<int64_t>(rounded);
}

class Random {
 public:
  // As often small as large.
  int64_t UpTo(int64_t most) {
    const int bits = std::uniform_int_distribution<int>(0, 62)(engine_);
    const int64_t bound = std::min(most, (int64_t{1} << bits) - 1);
    return std::uniform_int_distribution<int64_t>(0, bound)(engine_);
  }
  bool Coin() { return UpTo(kMost) % 2 == 0; }
  PriceValues Price() {
    PriceValues price{UpTo(PriceValues::kMax), UpTo(PriceValues::kMax), {}, {}};
    if (Coin()) price.cached_input = UpTo(PriceValues::kMax);
    if (Coin()) price.reasoning = UpTo(PriceValues::kMax);
    return price;
  }

 private:
  std::mt19937_64 engine_{20261130};
};

TEST(Prices, TheCostIsThatOfThePlainFormulaAlsoBeyondWhatADoubleHolds) {
  Random random;
  int beyond_doubles = 0;
  for (int i = 0; i < 200'000; ++i) {
    const PriceValues price = random.Price();
    const int64_t prompt = random.UpTo(int64_t{1} << 40);
    const int64_t completion = random.UpTo(int64_t{1} << 40);
    const int64_t cached = random.UpTo(prompt);
    const int64_t reasoning = random.UpTo(completion);
    const int64_t plain = PlainCost(price, prompt, completion, cached, reasoning);
    ASSERT_EQ(CostOf(price, {prompt, completion, cached, reasoning}).value, plain) << i;
    ASSERT_GE(MostOf(price, prompt, completion).value, plain) << i;
    beyond_doubles += plain > (int64_t{1} << 53) && plain < kMost ? 1 : 0;
  }
  EXPECT_GT(beyond_doubles, 1000);
}

TEST(Prices, TheSumIsRoundedOnceAndHalfUp) {
  const PriceValues price{250'000, 250'000, {}, {}};
  EXPECT_EQ(CostOf(price, {1, 0, 0, 0}).value, 0);
  EXPECT_EQ(CostOf(price, {1, 1, 0, 0}).value, 1);  // two quarters, each of which alone is nothing
  EXPECT_EQ(CostOf(price, {5, 0, 0, 0}).value, 1);
  EXPECT_EQ(CostOf(price, {6, 0, 0, 0}).value, 2);
  EXPECT_EQ(CostOf({499'999, 0, {}, {}}, {1, 0, 0, 0}).value, 0);
}

TEST(Prices, AnUpperBoundIsRoundedUpAndTakesTheDearest) {
  EXPECT_EQ(MostOf({1, 0, {}, {}}, 1, 0).value, 1);
  EXPECT_EQ(MostOf({1'000'000, 0, {}, {}}, 1, 0).value, 1);
  EXPECT_EQ(MostOf({1'000'000, 2'000'000, 3'000'000, 4'000'000}, 10, 100).value, 430);
  EXPECT_EQ(MostOf({3'000'000, 4'000'000, 1'000'000, 2'000'000}, 10, 100).value, 430);
}

TEST(Prices, CachedAndReasoningAreWithinWhatTheyArePartOf) {
  const PriceValues price{1'000'000, 10'000'000, 100'000'000, 1'000'000'000};
  EXPECT_EQ(CostOf(price, {5, 7, 9, 11}), CostOf(price, {5, 7, 5, 7}));
  EXPECT_EQ(CostOf(price, {5, 7, -9, -11}), CostOf(price, {5, 7, 0, 0}));
  EXPECT_EQ(CostOf(price, {-5, -7, 3, 3}).value, 0);
}

TEST(Prices, AnAbsentPriceIsThatOfTheOthers) {
  EXPECT_EQ(CostOf({1'000'000, 3'000'000, {}, {}}, {10, 10, 4, 4}).value, 40);
  EXPECT_EQ(CostOf({1'000'000, 3'000'000, 0, 0}, {10, 10, 4, 4}).value, 24);
}

TEST(Prices, WhatNoIntegerHoldsIsTheGreatestOne) {
  const PriceValues price{kMost, kMost, kMost, kMost};
  EXPECT_EQ(CostOf(price, {kMost, kMost, kMost / 2, kMost / 2}).value, kMost);
  EXPECT_EQ(MostOf(price, kMost, kMost).value, kMost);
  EXPECT_EQ(CostOf({1'000'000, 0, {}, {}}, {kMost, 0, 0, 0}).value, kMost);
  EXPECT_EQ(CostOf({999'999, 0, {}, {}}, {kMost, 0, 0, 0}).value,
            PlainCost({999'999}, kMost, 0, 0, 0));
  EXPECT_EQ(SaturatingAdd(kMost, 1), kMost);
  EXPECT_EQ(SaturatingAdd(-kMost, -2), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(SaturatingAdd(kMost, -1), kMost - 1);
}

TEST(Prices, APriceOutOfBoundsIsRefusedByName) {
  EXPECT_TRUE(CheckPrice({0, PriceValues::kMax, {}, {}}).ok());
  EXPECT_EQ(FieldOf(CheckPrice({-1, 0, {}, {}})), "input_nano_usd_per_million");
  EXPECT_EQ(FieldOf(CheckPrice({0, PriceValues::kMax + 1, {}, {}})), "output_nano_usd_per_million");
  EXPECT_EQ(FieldOf(CheckPrice({0, 0, -1, {}})), "cached_input_nano_usd_per_million");
  const absl::Status status = CheckPrice({0, 0, {}, PriceValues::kMax + 1});
  EXPECT_EQ(FieldOf(status), "reasoning_nano_usd_per_million");
  EXPECT_EQ(ReasonOf(status), Reason::FIELD_OUT_OF_RANGE);
}

}  // namespace
}  // namespace aibackend::usage
