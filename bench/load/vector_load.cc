// The index search alone: the best ten of N unit vectors of 256, asked by so many threads at once,
// by the int8 scan through the gate (what the server does) and by FAISS's flat index.
//
//   vector_load ROWS CALLERS SECONDS
//
// Prints one line of JSON: gate_per_second, faiss_per_second, identical (of 256 queries, those with
// the same ten rows in the same order).
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "server/retrieval/linear_algebra.h"
#include "server/retrieval/query_gate.h"
#include "server/retrieval/vector_index.h"

namespace aibackend::retrieval {
namespace {

constexpr size_t kDimensions = 256;
constexpr size_t kAnswers = 10;
constexpr size_t kQueries = 256;

struct Data {
  VectorIndex index{kDimensions};
  std::vector<float> queries = std::vector<float>(kQueries * kDimensions);

  explicit Data(size_t rows) {
    std::mt19937 random(20241120);
    std::normal_distribution<float> normal;
    const auto fill = [&](float* vector) {
      for (size_t i = 0; i < kDimensions; ++i) vector[i] = normal(random);
      Normalise(vector, kDimensions);
    };
    std::vector<float> vector(kDimensions);
    for (size_t i = 0; i < rows; ++i) {
      fill(vector.data());
      index.Add(vector.data());
    }
    for (size_t i = 0; i < kQueries; ++i) fill(&queries[i * kDimensions]);
  }
  const float* Query(size_t turn) const { return &queries[turn % kQueries * kDimensions]; }

  std::vector<faiss::Index::idx_t> AskFaiss(const float* query) const {
    std::vector<float> scores(kAnswers);
    std::vector<faiss::Index::idx_t> rows(kAnswers);
    index.faiss_index().search(1, query, kAnswers, scores.data(), rows.data());
    return rows;
  }
};

// Each of `callers` threads asks for `time`; how many were answered a second.
double PerSecond(size_t callers, std::chrono::duration<double> time,
                 const std::function<void(size_t turn)>& ask) {
  const auto begin = std::chrono::steady_clock::now();
  std::atomic<size_t> asked{0};
  std::vector<std::thread> threads;
  for (size_t caller = 0; caller < callers; ++caller) {
    threads.emplace_back([&, caller] {
      UseOneMathThread();  // OpenMP's number is a thread's own
      size_t turn = caller;
      for (; std::chrono::steady_clock::now() - begin < time; turn += callers) ask(turn);
      asked += (turn - caller) / callers;
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  return static_cast<double>(asked) / took.count();
}

void Run(size_t rows, size_t callers, std::chrono::duration<double> time) {
  const Data data(rows);
  QueryGate gate([&](const VectorQuery* queries, size_t count,
                     TopRows* results) { data.index.Search(queries, count, results); },
                 Int8Scan::kBatchQueriesMax, std::max(1U, std::thread::hardware_concurrency()));
  const auto ask_gate = [&](size_t turn) {
    return gate.Search({data.Query(turn), kAnswers, nullptr}).rows;
  };
  size_t identical = 0;
  for (size_t i = 0; i < kQueries; ++i) {
    std::vector<faiss::Index::idx_t> rows_found;
    for (const ScoredRow& row : ask_gate(i)) rows_found.push_back(row.row);
    identical += rows_found == data.AskFaiss(data.Query(i)) ? 1 : 0;
  }
  const double by_gate = PerSecond(callers, time, ask_gate);
  const double by_faiss =
      PerSecond(callers, time, [&](size_t turn) { data.AskFaiss(data.Query(turn)); });
  std::printf("{\"gate_per_second\": %.0f, \"faiss_per_second\": %.0f, \"identical\": %zu}\n",
              by_gate, by_faiss, identical);
}

}  // namespace
}  // namespace aibackend::retrieval

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s ROWS CALLERS SECONDS\n", argv[0]);
    return 2;
  }
  aibackend::retrieval::UseOneMathThread();
  aibackend::retrieval::Run(std::stoul(argv[1]), std::stoul(argv[2]),
                            std::chrono::seconds(std::stoul(argv[3])));
  return 0;
}
