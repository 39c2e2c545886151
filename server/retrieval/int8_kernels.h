// The inner loops of the int8 scan, once for each instruction set. All of them compute the same
// integers. What they mean, and why it is exact, is in int8_scan.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace aibackend::retrieval {

constexpr size_t kBlockRows = 64;        // one bit of a word for each
constexpr size_t kStepDimensions = 4;    // dimensions that lie side by side in a row's codes
constexpr size_t kKernelQueriesMax = 4;  // 16 sums and 4 blocks of codes fill AVX-512's registers

// 64 rows. A code c of -127 to 127 is stored as c + 128, so that it is the unsigned operand of
// VNNI. Byte (step * 64 + row) * 4 + i holds dimension 4 * step + i of a row: a vector register
// sums rows side by side, and nothing is added across. Dimensions are padded to a multiple of 4
// with code 0.
struct CodedBlock {
  const uint8_t* codes = nullptr;  // aligned to 64
  const float* scales = nullptr;   // 64 of each
  const float* norms = nullptr;
  const float* errors = nullptr;
};

struct CodedQuery {
  const int8_t* codes = nullptr;        // of a multiple of 4 dimensions
  const int16_t* wide_codes = nullptr;  // the same
  int32_t offset = 0;                   // 128 * sum of codes: what the rows' + 128 adds to a dot
  float scale = 0;
  float norm_factor = 0;
  float error_factor = 0;
};

struct Kernels {
  // dots[q][row] = sum over dimensions of queries[q]'s code * the row's code, without the offset;
  // count is 1 to kKernelQueriesMax.
  void (*dots)(const uint8_t* codes, size_t steps, const CodedQuery* const* queries, size_t count,
               int32_t (*dots)[kBlockRows]);
  // The rows, as bits, whose upper bound is not below `threshold`. An upper bound that is not a
  // number is below everything.
  uint64_t (*reaching)(const CodedBlock& block, const CodedQuery& query, const int32_t* dots,
                       float threshold);
};

enum class ScanPath { kPlain, kAvx2, kAvx512Vnni };

const char* ScanPathName(ScanPath path);
// Null where this machine has no such instructions; kPlain is always there.
const Kernels* KernelsOf(ScanPath path);
// The fastest that this machine can run.
ScanPath BestScanPath();

// What KernelsOf() chooses from. They may run only where the instructions are.
extern const Kernels kPlainKernels;
#if defined(__x86_64__)
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512VnniKernels;
#endif

}  // namespace aibackend::retrieval
