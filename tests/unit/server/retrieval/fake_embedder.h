// An embedder that does what a test wants, and counts what it was asked.
#pragma once

#include <functional>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/base/status.h"
#include "server/retrieval/text_embedder.h"

namespace aibackend::retrieval {

// Thread-safe. The vector of a text is made of it and the size; pieces have `piece` texts.
class FakeEmbedder final : public TextEmbedder {
 public:
  FakeEmbedder(std::string name, size_t size) : name_(std::move(name)), key_(name_), size_(size) {}

  const std::string& name() const override { return name_; }
  const std::string& key() const override { return key_; }

  absl::Status Embed(const std::vector<std::string>& texts, absl::Time,
                     const telemetry::TraceContext&, OnVectors on_vectors) override {
    if (before) before(texts);
    for (size_t first = 0; first < texts.size(); first += piece) {
      std::vector<std::vector<float>> vectors;
      {
        absl::MutexLock lock(&mutex_);
        if (!error_.ok() && good_pieces_-- <= 0) return error_;
        const size_t end = std::min(texts.size(), first + piece);
        for (size_t i = first; i < end; ++i) {
          ++calls_[texts[i]];
          vectors.push_back(VectorOf(texts[i], size_));
        }
      }
      AIB_RETURN_IF_ERROR(on_vectors(first, std::move(vectors)));
    }
    return absl::OkStatus();
  }

  // From now on it fails, after so many pieces more.
  void Fail(absl::Status error, int after_pieces = 0) {
    absl::MutexLock lock(&mutex_);
    error_ = std::move(error);
    good_pieces_ = after_pieces;
  }
  void Recover() { Fail(absl::OkStatus()); }
  void Resize(size_t size) {
    absl::MutexLock lock(&mutex_);
    size_ = size;
  }

  // Of texts that were embedded, all told.
  size_t texts() const {
    absl::MutexLock lock(&mutex_);
    size_t sum = 0;
    for (const auto& [text, count] : calls_) sum += count;
    return sum;
  }
  // Texts that were embedded more than once.
  std::vector<std::string> Repeated() const {
    absl::MutexLock lock(&mutex_);
    std::vector<std::string> repeated;
    for (const auto& [text, count] : calls_) {
      if (count > 1) repeated.push_back(text);
    }
    return repeated;
  }

  static std::vector<float> VectorOf(const std::string& text, size_t size) {
    std::mt19937 random(static_cast<unsigned>(std::hash<std::string>()(text)));
    std::uniform_real_distribution<float> uniform(-1, 1);
    std::vector<float> vector(size);
    for (float& value : vector) value = 3 * uniform(random);
    return vector;
  }

  size_t piece = 8;
  std::function<void(const std::vector<std::string>&)> before;  // on the asking thread

 private:
  const std::string name_;
  const std::string key_;
  mutable absl::Mutex mutex_;
  size_t size_ ABSL_GUARDED_BY(mutex_);
  absl::Status error_ ABSL_GUARDED_BY(mutex_);
  int good_pieces_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, size_t> calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace aibackend::retrieval
