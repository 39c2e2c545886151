#include "server/retrieval/int8_codes.h"

#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "server/retrieval/top_rows.h"

namespace aibackend::retrieval {
namespace {

TEST(EncodeInt8Test, TheCodesAndTheErrorMakeTheVector) {
  const float vector[] = {1.0F, -0.5F, 0.0F, 1e-42F, 0.004F};
  int8_t codes[5];
  const Int8Codes coded = EncodeInt8(vector, 5, codes);
  EXPECT_EQ(coded.kind, CodeKind::kCoded);
  EXPECT_EQ(codes[0], 127);
  double squares = 0;
  for (size_t i = 0; i < 5; ++i) {
    const double error = vector[i] - static_cast<double>(coded.scale) * codes[i];
    EXPECT_LE(std::fabs(error), coded.scale * 0.51);
    squares += error * error;
  }
  EXPECT_GT(coded.error, 0);
  EXPECT_DOUBLE_EQ(coded.error, std::sqrt(squares));
}

TEST(ScoreOfTest, IsTheProductRoundedOnce) {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const size_t dimensions = 1 + (seed * 37) % 300;
    std::vector<float> a(dimensions);
    std::vector<float> b(dimensions);
    long double exact = 0;
    double sizes = 0;
    for (size_t i = 0; i < dimensions; ++i) {
      a[i] = normal(random);
      b[i] = normal(random);
      exact += static_cast<long double>(a[i]) * b[i];
      sizes += std::fabs(static_cast<double>(a[i]) * b[i]);
    }
    const float score = ScoreOf(a.data(), b.data(), dimensions);
    const double rounding = std::fabs(score) * 0x1p-24 + sizes * 0x1p-44;
    EXPECT_NEAR(score, static_cast<double>(exact), rounding) << "seed " << seed;
  }
}

}  // namespace
}  // namespace aibackend::retrieval
