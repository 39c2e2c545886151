// A search over a collection, by its size. The texts are made of words with a Zipf-like spread, so
// that postings have the lengths of real ones.
#include <cmath>
#include <random>

#include "benchmark/benchmark.h"
#include "server/retrieval/collection_index.h"

namespace aibackend::retrieval {
namespace {

class Texts {
 public:
  std::string Next(int words) {
    std::string text;
    for (int i = 0; i < words; ++i) {
      // Inverse of a Zipf distribution's tail: rank r with weight about 1/r, over 20,000 words.
      const double u = std::uniform_real_distribution<>(0, 1)(random_);
      const int rank = static_cast<int>(std::pow(20'000.0, u));
      text += "term" + std::to_string(rank) + (i % 15 == 14 ? ". " : " ");
    }
    return text;
  }

 private:
  std::mt19937 random_{20241120};
};

DocumentPtr MakeDocument(int seq, std::string text) {
  auto document = std::make_shared<Document>();
  document->seq = seq + 1;
  document->id = "doc-" + std::to_string(seq);
  document->chunks = {{0, text.size()}};
  document->text = std::move(text);
  return document;
}

void BM_Search(benchmark::State& state) {
  const auto count = static_cast<int>(state.range(0));
  CollectionIndex index;
  Texts texts;
  std::vector<Change> changes;
  for (int i = 0; i < count; ++i) changes.push_back({0, MakeDocument(i, texts.Next(120))});
  index.Apply(changes);
  index.Fit(1);
  std::vector<std::string> queries;
  for (int i = 0; i < 64; ++i) queries.push_back(texts.Next(8));
  size_t next = 0;
  for (auto _ : state) {
    SearchQuery query;
    query.text = queries[next++ % queries.size()];
    benchmark::DoNotOptimize(index.Search(query));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Search)->Arg(1000)->Arg(5000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace aibackend::retrieval
