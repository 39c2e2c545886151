// How long things took: a distribution in few bytes that can be added to another.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace aibackend::usage {

// Milliseconds in buckets whose bounds grow by a constant factor, kept sparsely. Bucket 0 holds 0;
// bucket b > 0 holds the values in (γ^(b-2), γ^(b-1)] with γ = (1 + α) / (1 - α), and stands for
// 2 γ^(b-1) / (γ + 1), from which none of them is farther than α of its value. (DDSketch; Masson,
// Rim and Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error
// guarantees", PVLDB 12(12), 2019.)
class Histogram {
 public:
  static constexpr double kRelativeError = 0.02;       // α; the contract promises 3 %
  static constexpr int64_t kValueMsMax = 100'000'000;  // 28 hours; what is longer counts as this
  static constexpr int kBuckets = 463;                 // up to kValueMsMax's

  // Negative values count as 0.
  void Add(int64_t value_ms);
  void Merge(const Histogram& other);
  // Adds what Encode() made. A blob that it cannot have made adds what can be read of it: buckets
  // in order up to the first mistake. Counts saturate.
  void MergeEncoded(absl::string_view blob);

  // For each bucket in order: its distance from the one before, and its count, both as varints
  // (LEB128). Empty for an empty histogram.
  std::string Encode() const;

  // The value with a share of `q` (0 to 1) of the others below it: element ⌊q · (n - 1)⌋ of the
  // sorted values, at most kRelativeError from it. 0 of an empty histogram.
  double Quantile(double q) const;

  bool empty() const { return buckets_.empty(); }
  uint64_t count() const;

 private:
  struct Bucket {
    uint32_t number = 0;
    uint64_t count = 0;
  };

  friend class HistogramSum;

  class Adder;

  std::vector<Bucket> buckets_;  // by number; none is empty
};

// The sum of many encoded histograms. They are gathered and decoded some at a time: of thousands of
// sums that take turns each is in the processor's cache then, and buckets need no search.
class HistogramSum {
 public:
  // As Histogram::MergeEncoded.
  void Add(absl::string_view blob);
  // Of all that was added; valid until the next Add.
  const Histogram& Get();

 private:
  static constexpr size_t kGatheredBytesMax = 1024;

  void Fold();

  std::string gathered_;  // each with its length (a varint) before it
  Histogram sum_;         // of the others
};

}  // namespace aibackend::usage
