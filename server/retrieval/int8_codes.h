// A vector as int8 codes with one scale, and what the codes leave out.
#pragma once

#include <cstddef>
#include <cstdint>

namespace aibackend::retrieval {

enum class CodeKind {
  kCoded,      // the codes stand for the vector, within `error`
  kUnbounded,  // too large or too small for the bounds of int8_scan.h: the codes are 0
  kNotFinite,  // holds a NaN or an infinity: the codes are 0
};

struct Int8Codes {
  CodeKind kind = CodeKind::kCoded;
  float scale = 0;        // s of x = s c + e; 0 for zeros
  double norm = 0;        // |x|
  double coded_norm = 0;  // |s c|
  double error = 0;       // |e|
};

// Writes the codes of `vector`, each of -127 to 127.
Int8Codes EncodeInt8(const float* vector, size_t dimensions, int8_t* codes);

}  // namespace aibackend::retrieval
