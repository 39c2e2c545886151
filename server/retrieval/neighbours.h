// Which chunks are alike: what a chunk's neighbours say counts a little for the chunk.
#pragma once

#include <array>
#include <vector>

#include "server/retrieval/analyzer.h"
#include "server/retrieval/index_snapshot.h"
#include "server/retrieval/linear_algebra.h"
#include "server/retrieval/vector_index.h"

namespace aibackend::retrieval {

constexpr size_t kNeighbours = 5;

struct Neighbour {
  uint32_t text = 0;
  float weight = 0;  // the weights of one text sum to 1, or are all 0 where nothing is like it
};

using NeighbourGraph = std::vector<std::array<Neighbour, kNeighbours>>;

// The 5 nearest of each text by half the cosine of tf-idf and half that of `vectors` (row i is
// texts[i]). Exact up to kExactNeighboursMax texts; beyond, tf-idf only ranks the nearest by
// vector, which FAISS's inverted file finds.
NeighbourGraph FindNeighbours(const std::vector<const Bag*>& texts, const VectorIndex& vectors);

// A section of a snapshot.
void SaveGraph(const NeighbourGraph& graph, SnapshotWriter& writer);
// Of an index with `slots` slots; empty after a failure of `reader`.
NeighbourGraph LoadGraph(size_t slots, SnapshotReader& reader);

constexpr size_t kExactNeighboursMax = 20'000;  // some 10 s of one core; the cost grows as N²

}  // namespace aibackend::retrieval
