// The embedded embedding: latent semantic analysis fitted on a collection's own texts. No model
// weights are needed.
#pragma once

#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "server/retrieval/analyzer.h"
#include "server/retrieval/index_snapshot.h"
#include "server/retrieval/linear_algebra.h"

namespace aibackend::retrieval {

// With fewer chunks there is no latent structure to find: the lexical legs serve alone.
constexpr size_t kFitChunksMin = 30;
constexpr size_t kDimensionsMax = 256;

// A text is x(t) = log(1 + tf) * g(t), where g(t) = 1 + sum over chunks of p ln p / ln N with
// p = tf / total tf of t (log-entropy; Dumais 1991, "Improving the retrieval of information from
// external sources"), normalised, then projected on the leading right singular vectors of the
// chunks' matrix, and normalised again. Immutable, so thread-safe.
class FittedSpace {
 public:
  // Fits min(256, N - 20) dimensions. Takes seconds for thousands of chunks. The same texts in the
  // same order give the same space. Empty when the texts hold no term.
  static std::unique_ptr<const FittedSpace> Fit(const std::vector<const Bag*>& texts);

  // Writes the unit vector of a text to `vector`, of dimensions() numbers. False, and zeros, for a
  // text with no known term.
  bool Embed(const Bag& text, float* vector) const;

  // A section of a snapshot.
  void Save(SnapshotWriter& writer) const;
  // Null after a failure of `reader`.
  static std::unique_ptr<const FittedSpace> Load(size_t dimensions, SnapshotReader& reader);

  size_t dimensions() const { return basis_.columns; }

 private:
  struct Dimension {
    uint32_t row = 0;  // of basis_
    float weight = 0;  // g(t)
  };

  absl::flat_hash_map<Term, Dimension> vocabulary_;
  Matrix basis_;
};

}  // namespace aibackend::retrieval
