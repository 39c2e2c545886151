#include "server/retrieval/neighbours.h"

#include <cblas.h>
#include <faiss/IndexIVFFlat.h>

#include <algorithm>
#include <cmath>

#include "absl/container/flat_hash_map.h"

namespace aibackend::retrieval {
namespace {

constexpr size_t kBlockRows = 256;  // rows of the product of all vectors held at a time
constexpr size_t kCandidates = 64;  // of the approximate search, for 5 neighbours
constexpr size_t kListsProbed = 16;

// Unit tf-idf rows: (1 + ln tf) * (1 + ln((N + 1) / (df + 1))).
SparseMatrix TfIdf(const std::vector<const Bag*>& texts) {
  absl::flat_hash_map<Term, std::pair<uint32_t, uint32_t>> columns;  // term: column, df
  for (const Bag* text : texts) {
    for (const TermCount& t : *text) {
      const auto column = static_cast<uint32_t>(columns.size());
      ++columns.try_emplace(t.term, column, 0).first->second.second;
    }
  }
  SparseMatrix matrix;
  matrix.columns = columns.size();
  const auto n = static_cast<float>(texts.size());
  for (const Bag* text : texts) {
    const size_t start = matrix.values.size();
    for (const TermCount& t : *text) {
      const auto& [column, df] = columns.at(t.term);
      matrix.column_of.push_back(column);
      matrix.values.push_back((1 + std::log(t.count)) *
                              (1 + std::log((n + 1) / (static_cast<float>(df) + 1))));
    }
    Normalise(matrix.values.data() + start, matrix.values.size() - start);
    matrix.row_starts.push_back(matrix.values.size());
  }
  return matrix;
}

SparseMatrix Transpose(const SparseMatrix& a) {
  SparseMatrix t;
  t.columns = a.rows();
  t.row_starts.assign(a.columns + 1, 0);
  for (const uint32_t column : a.column_of) ++t.row_starts[column + 1];
  for (size_t i = 1; i < t.row_starts.size(); ++i) t.row_starts[i] += t.row_starts[i - 1];
  t.column_of.resize(a.values.size());
  t.values.resize(a.values.size());
  std::vector<size_t> next(t.row_starts.begin(), t.row_starts.end() - 1);
  for (size_t i = 0; i < a.rows(); ++i) {
    for (size_t j = a.row_starts[i]; j < a.row_starts[i + 1]; ++j) {
      const size_t position = next[a.column_of[j]]++;
      t.column_of[position] = static_cast<uint32_t>(i);
      t.values[position] = a.values[j];
    }
  }
  return t;
}

// Keeps the best few (text, similarity) seen; ties go to the one offered first.
class Best {
 public:
  void Offer(uint32_t text, float similarity) {
    if (similarity <= best_.back().weight) return;
    size_t i = kNeighbours - 1;
    for (; i > 0 && best_[i - 1].weight < similarity; --i) best_[i] = best_[i - 1];
    best_[i] = {text, similarity};
  }

  std::array<Neighbour, kNeighbours> Weighted() const {
    float sum = 0;
    for (const Neighbour& n : best_) sum += n.weight;
    std::array<Neighbour, kNeighbours> weighted = best_;
    if (sum > 0) {
      for (Neighbour& n : weighted) n.weight /= sum;
    }
    return weighted;
  }

 private:
  std::array<Neighbour, kNeighbours> best_{};
};

NeighbourGraph Exact(const SparseMatrix& tfidf, const VectorIndex& vectors) {
  const SparseMatrix by_term = Transpose(tfidf);
  const size_t n = tfidf.rows();
  const auto columns = static_cast<int>(vectors.dimensions());
  NeighbourGraph graph(n);
  Matrix similar(std::min(kBlockRows, n), n);
  for (size_t first = 0; first < n; first += kBlockRows) {
    const size_t rows = std::min(kBlockRows, n - first);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, static_cast<int>(rows),
                static_cast<int>(n), columns, 0.5F, vectors.Row(first), columns, vectors.Row(0),
                columns, 0, similar.values.data(), static_cast<int>(n));
    for (size_t i = 0; i < rows; ++i) {
      float* row = similar.row(i);
      const size_t text = first + i;
      for (size_t j = tfidf.row_starts[text]; j < tfidf.row_starts[text + 1]; ++j) {
        const uint32_t term = tfidf.column_of[j];
        const float weight = 0.5F * tfidf.values[j];
        for (size_t p = by_term.row_starts[term]; p < by_term.row_starts[term + 1]; ++p) {
          row[by_term.column_of[p]] += weight * by_term.values[p];
        }
      }
      row[text] = 0;
      Best best;
      for (size_t other = 0; other < n; ++other) {
        best.Offer(static_cast<uint32_t>(other), row[other]);
      }
      graph[text] = best.Weighted();
    }
  }
  return graph;
}

NeighbourGraph Approximate(const SparseMatrix& tfidf, const VectorIndex& vectors) {
  const size_t n = tfidf.rows();
  const auto d = static_cast<faiss::Index::idx_t>(vectors.dimensions());
  const auto lists = static_cast<size_t>(4 * std::sqrt(static_cast<double>(n)));
  faiss::IndexFlatIP quantizer(d);
  faiss::IndexIVFFlat index(&quantizer, vectors.dimensions(), lists, faiss::METRIC_INNER_PRODUCT);
  index.train(static_cast<faiss::Index::idx_t>(n), vectors.Row(0));
  index.add(static_cast<faiss::Index::idx_t>(n), vectors.Row(0));
  index.nprobe = kListsProbed;

  NeighbourGraph graph(n);
  std::vector<float> dense(kBlockRows * kCandidates);
  std::vector<faiss::Index::idx_t> found(kBlockRows * kCandidates);
  std::vector<float> row(tfidf.columns);  // the current text's tf-idf, spread out
  for (size_t first = 0; first < n; first += kBlockRows) {
    const size_t rows = std::min(kBlockRows, n - first);
    index.search(static_cast<faiss::Index::idx_t>(rows), vectors.Row(first), kCandidates,
                 dense.data(), found.data());
    for (size_t i = 0; i < rows; ++i) {
      const size_t text = first + i;
      const auto spread = [&](float scale) {
        for (size_t j = tfidf.row_starts[text]; j < tfidf.row_starts[text + 1]; ++j) {
          row[tfidf.column_of[j]] = scale * tfidf.values[j];
        }
      };
      spread(0.5F);
      Best best;
      for (size_t c = i * kCandidates; c < (i + 1) * kCandidates; ++c) {
        if (found[c] < 0 || static_cast<size_t>(found[c]) == text) continue;
        const auto other = static_cast<size_t>(found[c]);
        float similarity = 0.5F * dense[c];
        for (size_t j = tfidf.row_starts[other]; j < tfidf.row_starts[other + 1]; ++j) {
          similarity += row[tfidf.column_of[j]] * tfidf.values[j];
        }
        best.Offer(static_cast<uint32_t>(other), similarity);
      }
      spread(0);
      graph[text] = best.Weighted();
    }
  }
  return graph;
}

}  // namespace

NeighbourGraph FindNeighbours(const std::vector<const Bag*>& texts, const VectorIndex& vectors) {
  if (texts.empty() || vectors.dimensions() == 0) return NeighbourGraph(texts.size());
  const SparseMatrix tfidf = TfIdf(texts);
  return texts.size() <= kExactNeighboursMax ? Exact(tfidf, vectors) : Approximate(tfidf, vectors);
}

}  // namespace aibackend::retrieval
