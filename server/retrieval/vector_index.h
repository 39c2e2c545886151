// The chunks' vectors: a FAISS flat inner-product index, row by row the slots of the collection,
// and an int8 copy of them for searches that need the best rows only.
//
// A row of d dimensions costs 4 d bytes in FAISS and d + 12 in the copy: 1,292 bytes for 256.
#pragma once

#include <faiss/IndexFlat.h>

#include <cstddef>
#include <vector>

#include "server/retrieval/index_snapshot.h"
#include "server/retrieval/int8_scan.h"
#include "server/retrieval/top_rows.h"

namespace aibackend::retrieval {

// A text without a vector has a row of zeros, whose product with anything is 0.
//
// Threads: const methods may run side by side; Add() excludes them, because FAISS keeps the rows in
// one array that moves when it grows. The caller's lock sees to that, for short steps: a row costs
// microseconds (the int8 copy never moves), and the array's copy is rare, as it grows by doubling.
class VectorIndex {
 public:
  // At most Int8Scan::kDimensionsMax.
  explicit VectorIndex(size_t dimensions, ScanPath path = BestScanPath());

  void Add(const float* vector);

  // A section of a snapshot; rows that are not `kept` are written as zeros.
  void Save(const RowSet& kept, SnapshotWriter& writer) const;
  // Adds `rows` rows. After a failure of `reader` the index is of no use.
  void Load(size_t rows, SnapshotReader& reader);

  // The best rows for each query, in one pass over the rows for up to Int8Scan::kBatchQueriesMax
  // queries: exact, in the order and with the scores that top_rows.h defines. Removed rows and
  // filters go into VectorQuery::allowed, so they never take a place among the k. A row with a NaN
  // or an infinity is in no answer.
  void Search(const VectorQuery* queries, size_t count, TopRows* results) const;

  // The inner product of `query` with every row, to scores[row]; `scores` has room for size().
  // One pass of BLAS over FAISS's own rows: Debian's FAISS is built without AVX2, and its
  // single-query search runs at a tenth of the memory's speed. Sums in float and in BLAS's order:
  // the last bits differ from Search()'s scores.
  void Products(const float* query, float* scores) const;

  const float* Row(size_t row) const { return index_.get_xb() + row * dimensions(); }
  size_t size() const { return static_cast<size_t>(index_.ntotal); }
  size_t dimensions() const { return static_cast<size_t>(index_.d); }
  const faiss::IndexFlatIP& faiss_index() const { return index_; }

 private:
  faiss::IndexFlatIP index_;
  Int8Scan scan_;
};

}  // namespace aibackend::retrieval
