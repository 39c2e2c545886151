// The chunks' vectors: a FAISS flat inner-product index, row by row the slots of the collection.
#pragma once

#include <faiss/IndexFlat.h>

#include <cstddef>
#include <vector>

namespace aibackend::retrieval {

// A text without a vector has a row of zeros, whose product with anything is 0. Not thread-safe:
// FAISS must not be searched while it is added to.
class VectorIndex {
 public:
  explicit VectorIndex(size_t dimensions);

  void Add(const float* vector);

  // The inner product of `query` with every row, to scores[row]; `scores` has room for size().
  // One pass of BLAS over FAISS's own rows: Debian's FAISS is built without AVX2, and its
  // single-query search runs at a tenth of the memory's speed.
  void Products(const float* query, float* scores) const;

  const float* Row(size_t row) const { return index_.get_xb() + row * dimensions(); }
  size_t size() const { return static_cast<size_t>(index_.ntotal); }
  size_t dimensions() const { return static_cast<size_t>(index_.d); }
  const faiss::IndexFlatIP& faiss_index() const { return index_; }

 private:
  faiss::IndexFlatIP index_;
};

}  // namespace aibackend::retrieval
