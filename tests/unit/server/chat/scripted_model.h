// What a turn works with, played by the test: a retriever, a model and who listens.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "server/chat/chat_service.h"
#include "server/models/language_model.h"
#include "server/retrieval/retriever.h"

namespace aibackend::chat {

// Finds the same passage or none, with a settable confidence.
class FakeRetriever final : public retrieval::Retriever {
 public:
  absl::StatusOr<retrieval::RetrieveResult> Retrieve(
      const retrieval::RetrieveQuery&) const override {
    ++calls;
    retrieval::RetrieveResult result;
    result.confidence = confidence;
    result.is_degraded = is_degraded;
    retrieval::Match match;
    match.document_id = "doc";
    match.chunk_id = "doc#0";
    match.text = "The turtle swims.";
    match.start = 10;
    match.end = 27;
    if (finds) result.matches.push_back(match);
    return result;
  }
  std::vector<WeightedTerm> Analyze(absl::string_view,
                                    const retrieval::CollectionId&) const override {
    return {};
  }

  absl::optional<uint64_t> Revision(const retrieval::CollectionId&) const override {
    return revision;
  }

  double confidence = 0.9;
  bool finds = true;
  bool is_degraded = false;
  absl::optional<uint64_t> revision = 1;
  mutable std::atomic<int> calls{0};
};

// Hands the test the sink of its latest generation; the test plays the model.
class ScriptedModel final : public models::LanguageModel {
 public:
  models::ModelInfo info() const override {
    models::ModelInfo info;
    info.id = "scripted";
    return info;
  }

  std::shared_ptr<models::Generation> Generate(
      const models::GenerateRequest& request, std::shared_ptr<models::GenerateSink> sink) override {
    absl::MutexLock lock(&mutex_);
    request_ = request;
    sink_ = std::move(sink);
    ++calls_;
    return std::make_shared<Handle>(*this);
  }

  // Waits until the model was called.
  std::shared_ptr<models::GenerateSink> TakeSink() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](std::shared_ptr<models::GenerateSink>* sink) { return *sink != nullptr; }, &sink_));
    return std::move(sink_);
  }
  models::GenerateRequest request() {
    absl::MutexLock lock(&mutex_);
    return request_;
  }
  int calls() {
    absl::MutexLock lock(&mutex_);
    return calls_;
  }
  absl::Notification cancelled;

 private:
  struct Handle final : models::Generation {
    explicit Handle(ScriptedModel& owner) : model(owner) {}
    void Cancel() override {
      if (!model.cancelled.HasBeenNotified()) model.cancelled.Notify();
    }
    ScriptedModel& model;
  };

  absl::Mutex mutex_;
  models::GenerateRequest request_;
  std::shared_ptr<models::GenerateSink> sink_;
  int calls_ = 0;
};

// Keeps what a turn tells.
struct Collected final : TurnSink {
  void OnDelta(const models::Delta& delta) override {
    streamed.append(delta.text.data(), delta.text.size());
    reasoned.append(delta.reasoning.data(), delta.reasoning.size());
    for (const models::ToolCallDelta& call : delta.tool_calls) called += call.arguments;
  }
  void OnDone(TurnResult r) override {
    result = std::move(r);
    done.Notify();
  }
  std::string streamed;
  std::string reasoned;
  std::string called;
  TurnResult result;
  absl::Notification done;
};

}  // namespace aibackend::chat
