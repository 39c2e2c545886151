// Money is an integer: one thousand-millionth of a US dollar.
#pragma once

#include <cstdint>

namespace aibackend {

struct NanoUsd {
  int64_t value = 0;
  friend NanoUsd operator+(NanoUsd a, NanoUsd b) { return {a.value + b.value}; }
  friend bool operator==(NanoUsd a, NanoUsd b) { return a.value == b.value; }
};

// For reading only: the exact amount is the integer.
inline double ToUsd(NanoUsd amount) {
  return static_cast<double>(amount.value) / 1e9;
}

}  // namespace aibackend
