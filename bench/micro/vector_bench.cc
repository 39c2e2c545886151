// The best ten rows of N random unit vectors: the int8 scan on each path against what FAISS and
// BLAS take. One thread. "rescored" is the median number of rows scored in full.
#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <random>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "benchmark/benchmark.h"
#include "cblas.h"
#include "server/retrieval/linear_algebra.h"
#include "server/retrieval/query_gate.h"
#include "server/retrieval/vector_index.h"

namespace aibackend::retrieval {
namespace {

constexpr size_t kDimensions = 256;
constexpr size_t kAnswers = 10;
constexpr size_t kQueries = 256;

struct Data {
  VectorIndex index;
  std::vector<float> queries;

  Data(size_t rows, ScanPath path) : index(kDimensions, path), queries(kQueries * kDimensions) {
    UseOneMathThread();
    std::mt19937 random(20241120);
    std::normal_distribution<float> normal;
    const auto fill = [&](float* vector) {
      std::generate_n(vector, kDimensions, [&] { return normal(random); });
      Normalise(vector, kDimensions);
    };
    std::vector<float> vector(kDimensions);
    for (size_t i = 0; i < rows; ++i) {
      fill(vector.data());
      index.Add(vector.data());
    }
    for (size_t i = 0; i < kQueries; ++i) fill(&queries[i * kDimensions]);
  }

  // `count` queries that follow each other; another set for each turn.
  const float* Turn(size_t turn, size_t count) const {
    return &queries[turn * count % (kQueries - count + 1) * kDimensions];
  }
};

// Kept from one benchmark to the next of the same size and path: making it takes seconds.
const Data& DataOf(size_t rows, ScanPath path) {
  static std::unique_ptr<Data> data;
  static std::pair<size_t, ScanPath> made_for;
  if (data == nullptr || made_for != std::make_pair(rows, path)) {
    data.reset();
    data = std::make_unique<Data>(rows, path);
    made_for = {rows, path};
  }
  return *data;
}

void BM_FaissFlat(benchmark::State& state) {
  const Data& data = DataOf(state.range(0), ScanPath::kPlain);
  const auto count = static_cast<size_t>(state.range(1));
  std::vector<float> scores(count * kAnswers);
  std::vector<faiss::Index::idx_t> labels(count * kAnswers);
  size_t turn = 0;
  for (auto _ : state) {
    data.index.faiss_index().search(static_cast<faiss::Index::idx_t>(count),
                                    data.Turn(turn++, count), kAnswers, scores.data(),
                                    labels.data());
  }
  state.SetItemsProcessed(state.iterations() * state.range(1));
}

// Every product by sgemv or sgemm, then the ten greatest by a scan over them.
void BM_Blas(benchmark::State& state) {
  const Data& data = DataOf(state.range(0), ScanPath::kPlain);
  const auto rows = static_cast<size_t>(state.range(0));
  const auto count = static_cast<size_t>(state.range(1));
  std::vector<float> products(rows * count);
  size_t turn = 0;
  for (auto _ : state) {
    const float* queries = data.Turn(turn++, count);
    if (count == 1) {
      data.index.Products(queries, products.data());
    } else {
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, static_cast<int>(count),
                  static_cast<int>(rows), kDimensions, 1, queries, kDimensions, data.index.Row(0),
                  kDimensions, 0, products.data(), static_cast<int>(rows));
    }
    for (size_t i = 0; i < count; ++i) {
      BestRows best(kAnswers);
      for (size_t row = 0; row < rows; ++row) {
        const float score = products[i * rows + row];
        if (score >= best.Floor()) best.Offer({static_cast<uint32_t>(row), score});
      }
      benchmark::DoNotOptimize(best.Take());
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(1));
}

void BM_Int8Scan(benchmark::State& state, ScanPath path) {
  if (KernelsOf(path) == nullptr) return state.SkipWithError("this machine has no such path");
  const Data& data = DataOf(state.range(0), path);
  const auto count = static_cast<size_t>(state.range(1));
  std::vector<VectorQuery> queries(count);
  std::vector<TopRows> found(count);
  std::vector<size_t> rescored;
  size_t turn = 0;
  for (auto _ : state) {
    const float* vectors = data.Turn(turn++, count);
    for (size_t i = 0; i < count; ++i) queries[i] = {vectors + i * kDimensions, kAnswers, nullptr};
    data.index.Search(queries.data(), count, found.data());
    for (const TopRows& each : found) rescored.push_back(each.rescored);
  }
  std::nth_element(rescored.begin(), rescored.begin() + rescored.size() / 2, rescored.end());
  state.counters["rescored"] = static_cast<double>(rescored[rescored.size() / 2]);
  state.SetItemsProcessed(state.iterations() * state.range(1));
}

void Sizes(benchmark::internal::Benchmark* bench) {
  for (const int rows : {10'000, 100'000}) {
    for (const int count : {1, 8, 32}) bench->Args({rows, count});
  }
  bench->Unit(benchmark::kMicrosecond)->ArgNames({"rows", "queries"});
}
BENCHMARK(BM_FaissFlat)->Apply(Sizes);
BENCHMARK(BM_Blas)->Apply(Sizes);
BENCHMARK_CAPTURE(BM_Int8Scan, plain, ScanPath::kPlain)->Apply(Sizes);
BENCHMARK_CAPTURE(BM_Int8Scan, avx2, ScanPath::kAvx2)->Apply(Sizes);
BENCHMARK_CAPTURE(BM_Int8Scan, avx512vnni, ScanPath::kAvx512Vnni)->Apply(Sizes);

// Threads that search at the same time, each by itself or all through a gate with a lane a core.
void BM_Together(benchmark::State& state, bool through_gate) {
  static const Data* data = nullptr;
  static QueryGate* gate = nullptr;
  if (state.thread_index() == 0) {
    data = &DataOf(state.range(0), BestScanPath());
    gate = new QueryGate([](const VectorQuery* queries, size_t count,
                            TopRows* results) { data->index.Search(queries, count, results); },
                         Int8Scan::kBatchQueriesMax, std::thread::hardware_concurrency());
  }
  size_t turn = state.thread_index();
  for (auto _ : state) {
    const VectorQuery query{data->Turn(turn++, 1), kAnswers, nullptr};
    TopRows found;
    if (through_gate) {
      found = gate->Search(query);
    } else {
      data->index.Search(&query, 1, &found);
    }
    benchmark::DoNotOptimize(found);
  }
  state.SetItemsProcessed(state.iterations());
  if (state.thread_index() == 0) delete gate;
}
BENCHMARK_CAPTURE(BM_Together, each_by_itself, false)
    ->Args({5'000})
    ->Args({100'000})
    ->Threads(1)
    ->Threads(2)
    ->Threads(16)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(BM_Together, gate, true)
    ->Args({5'000})
    ->Args({100'000})
    ->Threads(1)
    ->Threads(2)
    ->Threads(16)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace aibackend::retrieval
