// The few dense and sparse operations the fitted embedding needs, over OpenBLAS.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace aibackend::retrieval {

// Rows of numbers, one after the other.
struct Matrix {
  size_t rows = 0;
  size_t columns = 0;
  std::vector<float> values;

  Matrix() = default;
  Matrix(size_t r, size_t c) : rows(r), columns(c), values(r * c) {}
  float* row(size_t i) { return values.data() + i * columns; }
  const float* row(size_t i) const { return values.data() + i * columns; }
};

// Compressed sparse rows.
struct SparseMatrix {
  size_t columns = 0;
  std::vector<size_t> row_starts{0};
  std::vector<uint32_t> column_of;
  std::vector<float> values;

  size_t rows() const { return row_starts.size() - 1; }
};

// BLAS and OpenMP with one thread: two of them on shared cores are many times slower, and requests
// are the unit of parallelism here. Called at the start of a fit and of a store.
void UseOneMathThread();

// Divides by the Euclidean length; false, and nothing changes, for a zero vector.
bool Normalise(float* vector, size_t size);

// The leading `k` right singular vectors of `a` as columns (a.columns rows), by a randomised range
// finder with two power iterations (Halko, Martinsson, Tropp, "Finding Structure with Randomness",
// SIAM Review 2011). Seeded: the same matrix gives the same basis. Fewer columns where the rank of
// `a` is less.
Matrix RightSingularVectors(const SparseMatrix& a, size_t k);

}  // namespace aibackend::retrieval
