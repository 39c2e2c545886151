// The running of a turn.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/optional.h"
#include "server/base/clock.h"
#include "server/chat/answer_cache.h"
#include "server/chat/chat_service.h"
#include "server/chat/cited_text.h"
#include "server/chat/guarded_answer.h"

namespace aibackend::chat {

// What the turns of a service work with.
struct TurnWorld {
  const retrieval::Retriever& retriever;
  Clock& clock;
  const ChatService::Options& options;
  std::function<void()> on_end;  // a turn is about to tell its sink the end
};

// One turn's life. Steps run in order: Run() on the executor, then the model's callbacks; Cancel
// may come between any two.
//
// What the model writes goes through two checks, each of which may hold some of it back: its
// citations (CitedText), then the guardrails (GuardedAnswer).
class RunningTurn final : public Turn,
                          public models::GenerateSink,
                          public std::enable_shared_from_this<RunningTurn> {
 public:
  // `world` and `model` outlive it.
  RunningTurn(const TurnWorld& world, models::LanguageModel& model, TurnRequest request,
              std::shared_ptr<TurnSink> sink);

  void Run();
  void Cancel() override;

  void OnDelta(const models::Delta& delta) override;
  void OnDone(models::GenerateResult generated) override;

 private:
  bool IsCancelled();
  void CancelModel();
  void Note(const char* name, std::string note = "");

  bool GuardInput();
  bool AnswerFromCache();
  bool Ground();
  void UseGrounding(models::Grounding& grounding);
  void AskModel();
  void Hold(std::shared_ptr<models::Generation> generation);

  void CheckCitations(const models::Delta& delta);
  void Guard(const models::Delta& delta);
  void Pass(const models::Delta& delta);
  void EndCitations();
  void EndGuard();

  void FinishFromCache(TurnResult found);
  void FinishNoContext();
  void FinishCancelled();
  void Price();
  void Finish();

  const TurnWorld& world_;
  models::LanguageModel& model_;
  TurnRequest request_;
  std::shared_ptr<TurnSink> sink_;
  const absl::Time started_at_;
  const models::ModelInfo info_;
  bool strict_ = false;
  absl::optional<AnswerCache::Slot> slot_;  // where the answer may be kept
  absl::optional<CitedText> cited_;         // where the answer is to have marks
  absl::optional<GuardedAnswer> guarded_;   // where there are rules for it
  bool is_shortened_ = false;               // by the request's before_model
  TurnResult result_;
  bool any_delta_ = false;

  absl::Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool model_cancelled_ ABSL_GUARDED_BY(mutex_) = false;  // also where it isn't asked yet
  bool has_ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<models::Generation> generation_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace aibackend::chat
