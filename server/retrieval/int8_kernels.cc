#include "server/retrieval/int8_kernels.h"

#include <algorithm>

namespace aibackend::retrieval {
namespace {

void Dots(const uint8_t* codes, size_t steps, const CodedQuery* const* queries, size_t count,
          int32_t (*dots)[kBlockRows]) {
  for (size_t q = 0; q < count; ++q) {
    int32_t* sums = dots[q];
    std::fill_n(sums, kBlockRows, -queries[q]->offset);
    const uint8_t* code = codes;
    for (size_t step = 0; step < steps; ++step) {
      const int16_t* query = queries[q]->wide_codes + step * kStepDimensions;
      for (size_t row = 0; row < kBlockRows; ++row, code += kStepDimensions) {
        sums[row] +=
            code[0] * query[0] + code[1] * query[1] + code[2] * query[2] + code[3] * query[3];
      }
    }
  }
}

uint64_t Reaching(const CodedBlock& block, const CodedQuery& query, const int32_t* dots,
                  float threshold) {
  uint64_t reaching = 0;
  for (size_t row = 0; row < kBlockRows; ++row) {
    const float estimate = block.scales[row] * (query.scale * static_cast<float>(dots[row]));
    const float width =
        query.norm_factor * block.norms[row] + query.error_factor * block.errors[row];
    reaching |= static_cast<uint64_t>(estimate + width >= threshold) << row;
  }
  return reaching;
}

}  // namespace

const Kernels kPlainKernels = {Dots, Reaching};

const char* ScanPathName(ScanPath path) {
  switch (path) {
    case ScanPath::kPlain:
      return "plain";
    case ScanPath::kAvx2:
      return "AVX2";
    case ScanPath::kAvx512Vnni:
      return "AVX-512 VNNI";
  }
  return "?";
}

const Kernels* KernelsOf(ScanPath path) {
#if defined(__x86_64__)
  if (path == ScanPath::kAvx2) {
    return __builtin_cpu_supports("avx2") ? &kAvx2Kernels : nullptr;
  }
  if (path == ScanPath::kAvx512Vnni) {
    const bool has_all = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vnni");
    return has_all ? &kAvx512VnniKernels : nullptr;
  }
#endif
  return path == ScanPath::kPlain ? &kPlainKernels : nullptr;
}

ScanPath BestScanPath() {
  for (const ScanPath path : {ScanPath::kAvx512Vnni, ScanPath::kAvx2}) {
    if (KernelsOf(path) != nullptr) return path;
  }
  return ScanPath::kPlain;
}

}  // namespace aibackend::retrieval
