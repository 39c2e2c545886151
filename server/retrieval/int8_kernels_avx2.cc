// AVX2. `maddubs` would saturate (2 * 255 * 127 is more than an int16 holds), so the codes are
// widened to int16 first and `madd` adds their products in int32, which never overflows. The
// instruction set is asked for function by function: with a flag for the file, an inline function
// of a header could be compiled with it here and linked everywhere.
#if defined(__x86_64__)
#include <immintrin.h>

#include <cstring>

#include "server/retrieval/int8_kernels.h"

#define AIB_AVX2 __attribute__((target("avx2")))

namespace aibackend::retrieval {
namespace {

constexpr size_t kPartRows = 16;       // four registers of sums, two sums a row
constexpr size_t kRegisterBytes = 16;  // of codes, before they are widened
constexpr size_t kBlockBytes = kBlockRows * kStepDimensions;  // of a step
constexpr size_t kRegisters = kPartRows * kStepDimensions / kRegisterBytes;

template <size_t kCount>
AIB_AVX2 void PartDots(const uint8_t* codes, size_t steps, const CodedQuery* const* queries,
                       int32_t* const* dots) {
  __m256i sums[kCount][kRegisters];
#pragma GCC unroll 8
  for (size_t q = 0; q < kCount; ++q) {
#pragma GCC unroll 8
    for (auto& sum : sums[q]) sum = _mm256_setzero_si256();
  }
  for (size_t step = 0; step < steps; ++step) {
    __m256i factors[kCount];
#pragma GCC unroll 8
    for (size_t q = 0; q < kCount; ++q) {
      int64_t four = 0;
      std::memcpy(&four, queries[q]->wide_codes + step * kStepDimensions, sizeof(four));
      factors[q] = _mm256_set1_epi64x(four);
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < kRegisters; ++i) {
      const __m256i rows = _mm256_cvtepu8_epi16(_mm_load_si128(
          reinterpret_cast<const __m128i*>(codes + step * kBlockBytes + i * kRegisterBytes)));
#pragma GCC unroll 8
      for (size_t q = 0; q < kCount; ++q) {
        sums[q][i] = _mm256_add_epi32(sums[q][i], _mm256_madd_epi16(rows, factors[q]));
      }
    }
  }
#pragma GCC unroll 8
  for (size_t q = 0; q < kCount; ++q) {
    const __m256i offset = _mm256_set1_epi32(queries[q]->offset);
#pragma GCC unroll 8
    for (size_t i = 0; i < kRegisters; i += 2) {
      // Pairs of sums become rows 0 1 4 5 2 3 6 7; the permutation brings them in order.
      const __m256i rows = _mm256_permute4x64_epi64(_mm256_hadd_epi32(sums[q][i], sums[q][i + 1]),
                                                    _MM_SHUFFLE(3, 1, 2, 0));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(dots[q] + i * 4),
                          _mm256_sub_epi32(rows, offset));
    }
  }
}

void Dots(const uint8_t* codes, size_t steps, const CodedQuery* const* queries, size_t count,
          int32_t (*dots)[kBlockRows]) {
  for (size_t first = 0; first < kBlockRows; first += kPartRows) {
    const uint8_t* part = codes + first * kStepDimensions;
    for (size_t q = 0; q < count; q += 2) {
      int32_t* const to[2] = {dots[q] + first, q + 1 < count ? dots[q + 1] + first : nullptr};
      if (to[1] != nullptr) {
        PartDots<2>(part, steps, queries + q, to);
      } else {
        PartDots<1>(part, steps, queries + q, to);
      }
    }
  }
}

AIB_AVX2 uint64_t Reaching(const CodedBlock& block, const CodedQuery& query, const int32_t* dots,
                           float threshold) {
  constexpr size_t kLanes = 8;
  uint64_t reaching = 0;
  for (size_t row = 0; row < kBlockRows; row += kLanes) {
    const __m256 dot =
        _mm256_cvtepi32_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(dots + row)));
    const __m256 estimate = _mm256_mul_ps(_mm256_loadu_ps(block.scales + row),
                                          _mm256_mul_ps(_mm256_set1_ps(query.scale), dot));
    const __m256 width = _mm256_add_ps(
        _mm256_mul_ps(_mm256_set1_ps(query.norm_factor), _mm256_loadu_ps(block.norms + row)),
        _mm256_mul_ps(_mm256_set1_ps(query.error_factor), _mm256_loadu_ps(block.errors + row)));
    const __m256 upper = _mm256_add_ps(estimate, width);
    const int bits =
        _mm256_movemask_ps(_mm256_cmp_ps(upper, _mm256_set1_ps(threshold), _CMP_GE_OQ));
    reaching |= static_cast<uint64_t>(bits) << row;
  }
  return reaching;
}

}  // namespace

const Kernels kAvx2Kernels = {Dots, Reaching};

}  // namespace aibackend::retrieval
#endif
