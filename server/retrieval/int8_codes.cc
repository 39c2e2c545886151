#include "server/retrieval/int8_codes.h"

#include <algorithm>
#include <cmath>

namespace aibackend::retrieval {
namespace {

constexpr float kCodeMax = 127;
// Between these the bounds of int8_scan.h neither overflow nor sink below the normal floats.
constexpr float kLargestMin = 0x1p-40F;
constexpr float kLargestMax = 0x1p40F;

}  // namespace

Int8Codes EncodeInt8(const float* vector, size_t dimensions, int8_t* codes) {
  Int8Codes coded;
  std::fill_n(codes, dimensions, static_cast<int8_t>(0));
  float largest = 0;
  for (size_t i = 0; i < dimensions; ++i) {
    if (!std::isfinite(vector[i])) {
      coded.kind = CodeKind::kNotFinite;
      return coded;
    }
    largest = std::max(largest, std::fabs(vector[i]));
  }
  if (largest == 0) return coded;
  if (largest < kLargestMin || largest > kLargestMax) {
    coded.kind = CodeKind::kUnbounded;
    return coded;
  }
  coded.scale = largest / kCodeMax;
  const float per_code = kCodeMax / largest;
  for (size_t i = 0; i < dimensions; ++i) {
    // Any code would do: the error is taken from the code that was chosen.
    const float exact = std::clamp(vector[i] * per_code, -kCodeMax, kCodeMax);
    codes[i] = static_cast<int8_t>(exact + (exact < 0 ? -0.5F : 0.5F));
    const double value = vector[i];
    const double kept = static_cast<double>(coded.scale) * codes[i];  // exact: 24 + 7 bits
    coded.norm += value * value;
    coded.coded_norm += kept * kept;
    coded.error += (value - kept) * (value - kept);
  }
  coded.norm = std::sqrt(coded.norm);
  coded.coded_norm = std::sqrt(coded.coded_norm);
  coded.error = std::sqrt(coded.error);
  return coded;
}

}  // namespace aibackend::retrieval
