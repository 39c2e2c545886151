// AVX-512 with VNNI: `vpdpbusd` adds four products of an unsigned with a signed byte to an int32
// without saturating. The instruction set is asked for function by function, as in the AVX2 file.
#if defined(__x86_64__)
#include <immintrin.h>

#include <cstring>

#include "server/retrieval/int8_kernels.h"

#define AIB_AVX512 __attribute__((target("avx512f,avx512vnni")))

namespace aibackend::retrieval {
namespace {

constexpr size_t kRegisterRows = 16;  // one int32 sum each
constexpr size_t kRegisters = kBlockRows / kRegisterRows;
constexpr size_t kRegisterBytes = kRegisterRows * kStepDimensions;

template <size_t kCount>
AIB_AVX512 void DotsOf(const uint8_t* codes, size_t steps, const CodedQuery* const* queries,
                       int32_t (*dots)[kBlockRows]) {
  __m512i sums[kCount][kRegisters];
#pragma GCC unroll 8
  for (size_t q = 0; q < kCount; ++q) {
#pragma GCC unroll 8
    for (auto& sum : sums[q]) sum = _mm512_set1_epi32(-queries[q]->offset);
  }
  for (size_t step = 0; step < steps; ++step) {
    __m512i rows[kRegisters];
#pragma GCC unroll 8
    for (size_t i = 0; i < kRegisters; ++i) {
      rows[i] = _mm512_load_si512(codes + (step * kRegisters + i) * kRegisterBytes);
    }
#pragma GCC unroll 8
    for (size_t q = 0; q < kCount; ++q) {
      int32_t four = 0;
      std::memcpy(&four, queries[q]->codes + step * kStepDimensions, sizeof(four));
      const __m512i factors = _mm512_set1_epi32(four);
#pragma GCC unroll 8
      for (size_t i = 0; i < kRegisters; ++i) {
        sums[q][i] = _mm512_dpbusd_epi32(sums[q][i], rows[i], factors);
      }
    }
  }
#pragma GCC unroll 8
  for (size_t q = 0; q < kCount; ++q) {
#pragma GCC unroll 8
    for (size_t i = 0; i < kRegisters; ++i) {
      _mm512_storeu_si512(dots[q] + i * kRegisterRows, sums[q][i]);
    }
  }
}

void Dots(const uint8_t* codes, size_t steps, const CodedQuery* const* queries, size_t count,
          int32_t (*dots)[kBlockRows]) {
  static_assert(kKernelQueriesMax == 4, "a case for each count");
  switch (count) {
    case 1:
      return DotsOf<1>(codes, steps, queries, dots);
    case 2:
      return DotsOf<2>(codes, steps, queries, dots);
    case 3:
      return DotsOf<3>(codes, steps, queries, dots);
    default:
      return DotsOf<4>(codes, steps, queries, dots);
  }
}

AIB_AVX512 uint64_t Reaching(const CodedBlock& block, const CodedQuery& query, const int32_t* dots,
                             float threshold) {
  uint64_t reaching = 0;
  for (size_t row = 0; row < kBlockRows; row += kRegisterRows) {
    // With a mask of all: g++ 12 warns about the plain intrinsic's own undefined register.
    const __m512 dot = _mm512_maskz_cvtepi32_ps(0xFFFF, _mm512_loadu_si512(dots + row));
    const __m512 estimate = _mm512_mul_ps(_mm512_loadu_ps(block.scales + row),
                                          _mm512_mul_ps(_mm512_set1_ps(query.scale), dot));
    const __m512 width = _mm512_add_ps(
        _mm512_mul_ps(_mm512_set1_ps(query.norm_factor), _mm512_loadu_ps(block.norms + row)),
        _mm512_mul_ps(_mm512_set1_ps(query.error_factor), _mm512_loadu_ps(block.errors + row)));
    const __mmask16 bits =
        _mm512_cmp_ps_mask(_mm512_add_ps(estimate, width), _mm512_set1_ps(threshold), _CMP_GE_OQ);
    reaching |= static_cast<uint64_t>(bits) << row;
  }
  return reaching;
}

}  // namespace

const Kernels kAvx512VnniKernels = {Dots, Reaching};

}  // namespace aibackend::retrieval
#endif
