#include "server/retrieval/vector_index.h"

#include <cblas.h>

namespace aibackend::retrieval {

VectorIndex::VectorIndex(size_t dimensions, ScanPath path)
    : index_(static_cast<faiss::Index::idx_t>(dimensions)), scan_(dimensions, path) {}

void VectorIndex::Add(const float* vector) {
  index_.add(1, vector);
  scan_.Add(vector);
}

void VectorIndex::Search(const VectorQuery* queries, size_t count, TopRows* results) const {
  scan_.Search(index_.get_xb(), queries, count, results);
}

void VectorIndex::Products(const float* query, float* scores) const {
  if (size() == 0) return;
  const auto columns = static_cast<int>(dimensions());
  cblas_sgemv(CblasRowMajor, CblasNoTrans, static_cast<int>(size()), columns, 1, index_.get_xb(),
              columns, query, 1, 0, scores, 1);
}

}  // namespace aibackend::retrieval
