// Exact top-k inner-product search that reads a quarter of the bytes: an int8 copy of the vectors
// is scanned, and only rows that may still be among the best k are scored in full.
//
// A row is x = s c + e: codes c of -127 to 127, one scale s, and what is left, e. A query likewise:
// q = s' c' + e'. Write x^ = s c and q^ = s' c'. Then
//
//   q.x = q.x^ + q.e = s s' (c'.c) + e'.x^ + q.e
//
// and by the Cauchy-Schwarz inequality (|a.b| <= |a| |b|; Steele, "The Cauchy-Schwarz Master
// Class", chapter 1) on the last two terms
//
//   |q.x - s s' (c'.c)| <= |e'| |x^| + |q| |e|.                                              (1)
//
// c'.c is an integer and exact. |x^| and |e| are kept for each row, |e'| and |q| come once a query.
// A row whose upper bound is below k lower bounds of other rows, or below k scores, is not in the
// answer. The rest is scored by ScoreOf(), the bounds' best first, until no bound reaches the k-th
// best score. Strictly below: a row that may tie is scored, and the tie goes to the lower row.
//
// Rounding. With u = 2^-24, the bounds are computed in float as
//
//   upper, lower = s (s' (c'.c)) +- (B |x^| + C |e|)
//   B = (|e'| + 16 u (|q| + |q^|)) (1 + 16 u),   C = |q| (1 + 16 u).
//
// The estimate rounds three times (the integer's conversion, two products), so it is off by at most
// 3.1 u |q^| |x^|, again by Cauchy-Schwarz. The width loses at most a factor of (1 - 6 u): the
// stored float of a norm, the factor's own, a product, a sum. The last sum is off by u times what
// it adds. Together less than 4.2 u |q^| |x^| + 7.2 u (B |x^| + C |e|), where the slack in B and C
// is 16 u (|q| + |q^|) |x^| and 16 u of the rest. What is left, more than 8 u |q| (|x^| + |e|),
// covers the norms' own rounding in double precision and the distance between ScoreOf()'s sum
// before it is rounded to float and q.x, which is at most d 2^-53 |q| |x| <= 2^-37 |q| |x| for
// d <= 65,536. So that sum lies between the two floats, and rounding it to float, which is
// monotone, leaves the score between them: lower <= score <= upper holds for the very bits that are
// compared. A fused multiply-add rounds less often, and changes nothing in this.
//
// The argument needs products that neither overflow nor sink below the normal floats. That holds
// where the largest component of a vector is between 2^-40 and 2^40 in size: then no bound exceeds
// 2^100, and no product but C |e| is below 2^-110. |e| and C |e| may sink, and lose at most 2^-150
// |q| and 2^-150, far less than the 8 u |q| |x^| that is left over. A row outside that range has an
// infinite bound, so it is scored in full; a query outside, or of zeros, is answered by scoring
// every row. A row of zeros is exact in codes, and denormal components of a vector inside are part
// of e, which is computed in double precision. A row with a NaN or an infinity is never in an
// answer, and a query with one has none.
//
// Memory: d bytes (rounded up to 4) and 12 a row, in segments of 1,024 rows that never move.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "server/retrieval/int8_kernels.h"
#include "server/retrieval/top_rows.h"

namespace aibackend::retrieval {

// Not thread-safe: Add() excludes everything else. Searches may run side by side.
class Int8Scan {
 public:
  // 65,536 * 255 * 127, the greatest sum of a row's bytes times a query's codes, fits an int32.
  static constexpr size_t kDimensionsMax = 65'536;
  // Queries that share one pass: enough that the pass costs each little, few enough that their
  // codes stay in the cache beside the block of rows.
  static constexpr size_t kBatchQueriesMax = 32;

  // `path` must be one that this machine has (KernelsOf()).
  explicit Int8Scan(size_t dimensions, ScanPath path = BestScanPath());
  ~Int8Scan();

  // The next row. Costs one pass over the vector; earlier rows are not touched.
  void Add(const float* vector);

  // results[i] becomes the best k rows for queries[i], by ScoreOf() descending, then row ascending:
  // the very answer of scoring every allowed row, on every path. Fewer where fewer rows are allowed
  // and finite. `vectors` are the rows that were added, one after the other. At most
  // kBatchQueriesMax queries go over the rows together; more take several passes.
  //
  // At worst (rows that hardly differ, such as thousands of copies) every allowed row is scored in
  // full, and the search takes as long as a plain scan.
  void Search(const float* vectors, const VectorQuery* queries, size_t count,
              TopRows* results) const;

  size_t size() const { return size_; }

 private:
  struct Segment;
  class QueryScan;

  CodedBlock BlockAt(size_t block) const;
  void SearchBatch(const float* vectors, const VectorQuery* queries, size_t count,
                   TopRows* results) const;
  void ScanBlock(size_t block, QueryScan* const* scans, size_t count, const float* vectors) const;
  static void WriteUppers(const CodedBlock& rows, const CodedQuery& query, const int32_t* dots,
                          float* uppers);
  void FillWithNan(float* uppers) const;
  TopRows ScoreEveryRow(const float* vectors, const VectorQuery& query) const;

  size_t dimensions_;
  size_t steps_;  // of kStepDimensions
  const Kernels* kernels_;
  size_t size_ = 0;
  std::vector<std::unique_ptr<Segment>> segments_;
};

}  // namespace aibackend::retrieval
