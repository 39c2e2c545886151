// A filter over 100,000 chunks: what choosing costs before anything is scored.
#include <string>

#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "server/retrieval/metadata_index.h"

namespace aibackend::retrieval {
namespace {

constexpr Slot kSlots = 100'000;
constexpr Slot kChunksPerDocument = 4;

std::string MetadataOf(Slot document) {
  return absl::StrCat(R"({"lang":")", document % 2 == 0 ? "en" : "de", R"(","group":"g)",
                      document % 100, R"(","url":"https://example.com/)", document,
                      R"(","created":)", 1'700'000'000 + document * 37 % 25'000, "}");
}

void Run(benchmark::State& state, const char* filter_json) {
  MetadataIndex index;
  for (Slot slot = 0; slot < kSlots; ++slot) {
    index.Add(slot, FlattenMetadata(MetadataOf(slot / kChunksPerDocument)));
  }
  const MetadataFilter filter = ParseFilter(filter_json, "filter").value();
  for (auto _ : state) benchmark::DoNotOptimize(index.Select(filter));
}

void BM_FilterOnePercent(benchmark::State& state) {
  Run(state, R"({"group":"g7"})");
}
BENCHMARK(BM_FilterOnePercent)->Unit(benchmark::kMicrosecond);

void BM_FilterHalf(benchmark::State& state) {
  Run(state, R"({"lang":"en"})");
}
BENCHMARK(BM_FilterHalf)->Unit(benchmark::kMicrosecond);

void BM_FilterWideRangeOfDistinctValues(benchmark::State& state) {
  Run(state, R"({"created":{"gte":1700005000}})");
}
BENCHMARK(BM_FilterWideRangeOfDistinctValues)->Unit(benchmark::kMicrosecond);

void BM_FilterThreeConditions(benchmark::State& state) {
  Run(state, R"({"lang":"en","group":{"in":["g2","g4","g6"]},"draft":{"exists":false}})");
}
BENCHMARK(BM_FilterThreeConditions)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace aibackend::retrieval
