// Searches of a collection by its size and mode, alone and while documents come in.
//
// The text is made up, but has what decides the cost: 50,000 words whose frequencies fall as those
// of a language do (Zipf and Mandelbrot), made of syllables that fall likewise, so that words share
// pieces, and 300 topics, so that an embedding and neighbours have something to find.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <map>
#include <memory>
#include <random>
#include <thread>

#include "benchmark/benchmark.h"
#include "server/retrieval/collection_index.h"

namespace aibackend::retrieval {
namespace {

constexpr size_t kVocabulary = 50'000;
constexpr size_t kTopics = 300;
constexpr size_t kTopicWords = 120;
constexpr int kChunkWords = 120;
constexpr size_t kQueries = 256;

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::discrete_distribution<size_t> Zipf(size_t size, double offset) {
  std::vector<double> weights;
  for (size_t rank = 0; rank < size; ++rank) {
    weights.push_back(1 / (static_cast<double>(rank) + offset));
  }
  return {weights.begin(), weights.end()};
}

class Texts {
 public:
  Texts() : word_(Zipf(kVocabulary, 60)), topic_word_(Zipf(kTopicWords, 5)) {
    static constexpr const char* kOnsets[] = {"t", "s", "r", "n", "l",  "d",  "m",  "p",  "c", "v",
                                              "b", "f", "g", "h", "st", "tr", "pr", "ch", "w", "k"};
    static constexpr const char* kRhymes[] = {"a",  "e",  "i",  "o",   "u",  "er", "an",
                                              "in", "on", "at", "ent", "al", "or", "is",
                                              "en", "ar", "es", "ist", "um", "ea"};
    auto onset = Zipf(std::size(kOnsets), 4);
    auto rhyme = Zipf(std::size(kRhymes), 4);
    for (size_t i = 0; i < kVocabulary; ++i) {
      std::string word;
      const int syllables = 1 + static_cast<int>(std::uniform_int_distribution<>(1, 3)(random_));
      for (int s = 0; s < syllables; ++s) {
        word += kOnsets[onset(random_)];
        word += kRhymes[rhyme(random_)];
      }
      vocabulary_.push_back(word);
    }
    for (size_t i = 0; i < kTopics * kTopicWords; ++i) {
      topics_.push_back(std::uniform_int_distribution<size_t>(0, kVocabulary - 1)(random_));
    }
  }

  // Two words in five are the topic's own.
  std::string Next(int words) {
    const size_t topic = std::uniform_int_distribution<size_t>(0, kTopics - 1)(random_);
    std::string text;
    for (int i = 0; i < words; ++i) {
      const bool is_topical = std::uniform_int_distribution<>(0, 4)(random_) < 2;
      const size_t word =
          is_topical ? topics_[topic * kTopicWords + topic_word_(random_)] : word_(random_);
      text += vocabulary_[word] + (i % 15 == 14 ? ". " : " ");
    }
    return text;
  }

 private:
  std::mt19937 random_{20241120};
  std::discrete_distribution<size_t> word_;
  std::discrete_distribution<size_t> topic_word_;
  std::vector<std::string> vocabulary_;
  std::vector<size_t> topics_;
};

DocumentPtr MakeDocument(int64_t seq, std::string text) {
  auto document = std::make_shared<Document>();
  document->seq = seq;
  document->id = "doc-" + std::to_string(seq);
  document->chunks = {{0, text.size()}};
  document->text = std::move(text);
  return document;
}

struct Sample {
  Texts texts;
  CollectionIndex index;
  std::vector<std::string> queries;

  explicit Sample(int64_t chunks) {
    std::vector<Change> changes;
    for (int64_t i = 0; i < chunks; ++i) {
      changes.push_back({0, MakeDocument(i + 1, texts.Next(kChunkWords))});
    }
    auto start = Clock::now();
    index.Apply(changes);
    std::fprintf(stderr, "%d chunks added in %.1f s", static_cast<int>(chunks),
                 SecondsSince(start));
    start = Clock::now();
    index.Fit(1);
    std::fprintf(stderr, ", fitted in %.1f s\n", SecondsSince(start));
    for (size_t i = 0; i < kQueries; ++i) {
      queries.push_back(texts.Next(std::uniform_int_distribution<>(3, 10)(random)));
    }
  }

  SearchQuery Query(size_t turn, Mode mode) const {
    SearchQuery query;
    query.text = queries[turn % queries.size()];
    query.mode = mode;
    return query;
  }

  std::mt19937 random{7};
};

// Kept from one benchmark to the next: making the greater one takes minutes.
Sample& SampleOf(int64_t chunks) {
  static std::map<int64_t, std::unique_ptr<Sample>> samples;
  std::unique_ptr<Sample>& sample = samples[chunks];
  if (sample == nullptr) sample = std::make_unique<Sample>(chunks);
  return *sample;
}

void BM_Search(benchmark::State& state, Mode mode) {
  const Sample& sample = SampleOf(state.range(0));
  size_t turn = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(sample.index.Search(sample.Query(turn++, mode)));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(BM_Search, Hybrid, Mode::kHybrid)
    ->Arg(10'000)
    ->Arg(100'000)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(BM_Search, Lexical, Mode::kLexical)
    ->Arg(10'000)
    ->Arg(100'000)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(BM_Search, Dense, Mode::kDense)
    ->Arg(10'000)
    ->Arg(100'000)
    ->Unit(benchmark::kMicrosecond);

// How long one waits for an answer while another thread (range 1: there is one) adds and removes
// documents without a pause. The percentiles are what matters.
void BM_SearchWhileAdding(benchmark::State& state) {
  Sample& sample = SampleOf(state.range(0));
  std::atomic<bool> stopping{false};
  std::thread writer([&] {
    std::vector<Change> added;
    std::vector<Change> removed;
    for (int64_t i = 0; i < 100; ++i) {
      const int64_t seq = 10'000'000 + i;
      added.push_back({0, MakeDocument(seq, sample.texts.Next(kChunkWords))});
      removed.push_back({seq, nullptr});
    }
    while (state.range(1) != 0 && !stopping) {
      sample.index.Apply(added);
      sample.index.Apply(removed);
    }
  });
  std::vector<double> waits;
  size_t turn = 0;
  for (auto _ : state) {
    const auto start = Clock::now();
    benchmark::DoNotOptimize(sample.index.Search(sample.Query(turn++, Mode::kHybrid)));
    waits.push_back(SecondsSince(start) * 1e6);
  }
  stopping = true;
  writer.join();
  std::sort(waits.begin(), waits.end());
  state.counters["p50_us"] = waits[waits.size() / 2];
  state.counters["p99_us"] = waits[waits.size() * 99 / 100];
  state.counters["max_us"] = waits.back();
}
BENCHMARK(BM_SearchWhileAdding)
    ->Args({10'000, 0})
    ->Args({10'000, 1})
    ->Iterations(3000)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace aibackend::retrieval
