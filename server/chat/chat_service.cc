#include "server/chat/chat_service.h"

#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/base/status.h"
#include "server/chat/citation_check.h"
#include "server/chat/cited_text.h"
#include "server/chat/context_packing.h"
#include "server/chat/turn_rules.h"
#include "server/models/grounding_prompt.h"
#include "server/telemetry/log.h"

namespace aibackend::chat {
namespace {

absl::StatusOr<models::Grounding> Ground(const retrieval::Retriever& retriever,
                                         const TurnRequest& request, bool strict) {
  retrieval::RetrieveQuery query;
  query.text = LastUserText(request.generate.messages);
  query.top_k = request.retrieval.top_k;
  query.collection = request.retrieval.collection;
  query.mode = request.retrieval.mode;
  query.filter = request.retrieval.filter;
  query.min_score = request.retrieval.min_score;
  AIB_ASSIGN_OR_RETURN(retrieval::RetrieveResult found, retriever.Retrieve(query));

  models::Grounding grounding;
  grounding.confidence = found.confidence;
  grounding.strict = strict;
  grounding.collection = query.collection.name;
  grounding.tenant = query.collection.tenant;
  for (auto& match : found.matches) {
    grounding.passages.push_back({std::move(match.document_id), std::move(match.chunk_id),
                                  std::move(match.title), std::move(match.source),
                                  std::move(match.text), match.start, match.score});
  }
  return grounding;
}

}  // namespace

// One turn's life. Steps run in order: Ground on the executor, then the model's callbacks; Cancel
// may come between any two.
class ChatService::RunningTurn final : public Turn,
                                       public models::GenerateSink,
                                       public std::enable_shared_from_this<RunningTurn> {
 public:
  RunningTurn(ChatService& service, models::LanguageModel& model, TurnRequest request,
              std::shared_ptr<TurnSink> sink)
      : service_(service),
        model_(model),
        request_(std::move(request)),
        sink_(std::move(sink)),
        started_at_(service.clock_.Now()) {
    const models::ModelInfo info = model_.info();
    result_.model = info.id;
    request_.generate.model = info.id;
    if (!info.is_general) request_.retrieval.enabled = true;
    info_ = info;
  }

  // On the executor.
  void Run() {
    models::GenerateRequest& generate = request_.generate;
    if (request_.retrieval.enabled && !IsCancelled()) {
      const bool strict = request_.retrieval.strict.value_or(service_.options_.strict_default);
      auto grounding = Ground(service_.retriever_, request_, strict);
      if (!grounding.ok()) {
        result_.status = grounding.status();
        return Finish();
      }
      generate.grounding = *std::move(grounding);
      UseGrounding(*generate.grounding);
    }

    const bool no_evidence = generate.grounding && IsWithoutEvidence(*generate.grounding);
    bool cancelled = false;
    {
      absl::MutexLock lock(&mutex_);
      cancelled = cancelled_;
      if (!cancelled && !no_evidence) generation_ = model_.Generate(generate, shared_from_this());
    }
    if (cancelled) {
      result_.status = MakeError(Reason::CANCELLED, "the client left");
      Finish();
    } else if (no_evidence) {
      FinishNoContext();
    }
  }

  void Cancel() override {
    std::shared_ptr<models::Generation> generation;
    {
      absl::MutexLock lock(&mutex_);
      cancelled_ = true;
      generation = generation_;
    }
    if (generation) generation->Cancel();
  }

  void OnDelta(const models::Delta& delta) override {
    if (!std::exchange(any_delta_, true)) {
      result_.time_to_first_token = service_.clock_.Now() - started_at_;
    }
    cited_ ? PassChecked(delta) : Pass(delta);
  }

  void OnDone(models::GenerateResult generated) override {
    result_.status = std::move(generated.status);
    result_.finish_reason = std::move(generated.finish_reason);
    result_.stop_sequence = std::move(generated.stop_sequence);
    result_.upstream_calls = generated.upstream_calls;
    if (!generated.model.empty()) result_.model = std::move(generated.model);
    result_.outcome = generated.outcome;
    result_.usage = generated.usage;
    result_.citations = std::move(generated.citations);
    EndCitations();
    if (result_.dropped_citations > 0) {
      telemetry::Log(telemetry::Event::kCitationDropped,
                     {{"request_id", request_.generate.request_id},
                      {"model", result_.model},
                      {"dropped", result_.dropped_citations}});
    }
    Finish();
  }

 private:
  bool IsCancelled() {
    absl::MutexLock lock(&mutex_);
    return cancelled_;
  }

  // The passages that the model gets, and what its marks may name.
  void UseGrounding(models::Grounding& grounding) {
    result_.confidence = grounding.confidence;
    if (!info_.is_general) return;  // it quotes from any number of them
    grounding.passages =
        PackPassages(std::move(grounding.passages), PassageTokensWithin(info_, request_.generate));
    if (models::WantsMarks(request_.generate)) cited_.emplace(grounding.passages);
  }

  static bool IsWithoutEvidence(const models::Grounding& grounding) {
    return grounding.strict &&
           (grounding.passages.empty() || grounding.confidence < models::kConfidenceMin);
  }

  void Pass(const models::Delta& delta) {
    result_.answer.Append(delta);
    sink_->OnDelta(delta);
  }

  // Text waits where it may become a mark, but not while a tool is called.
  void PassChecked(const models::Delta& delta) {
    std::string text;
    if (!delta.is_quoted) cited_->Take(delta.text, &text);
    if (delta.is_quoted || !delta.tool_calls.empty()) cited_->Flush(&text);
    if (delta.is_quoted) text.append(delta.text.data(), delta.text.size());
    models::Delta checked = delta;
    checked.text = text;
    const bool is_empty = text.empty() && delta.reasoning.empty() && delta.tool_calls.empty() &&
                          delta.logprobs.empty();
    if (!is_empty) Pass(checked);
  }

  void EndCitations() {
    if (cited_) {
      std::string text;
      cited_->Flush(&text);
      if (!text.empty()) Pass(models::Delta(text));
      result_.dropped_citations = cited_->dropped();
      for (models::Citation& citation : cited_->Citations()) {
        result_.citations.push_back(std::move(citation));
      }
    }
    const models::Grounding none;
    const auto& grounding = request_.generate.grounding;
    result_.dropped_citations +=
        DropUnverifiedCitations(grounding ? *grounding : none, result_.citations);
  }

  void FinishNoContext() {
    result_.outcome = models::Outcome::kNoContext;
    result_.finish_reason = "stop";
    models::Delta delta(models::kNoContextAnswer);
    delta.is_quoted = true;
    OnDelta(delta);
    Finish();
  }

  void Finish() {
    result_.elapsed = service_.clock_.Now() - started_at_;
    {
      absl::MutexLock lock(&mutex_);
      generation_ = nullptr;
    }
    service_.turns_.fetch_sub(1, std::memory_order_relaxed);
    std::exchange(sink_, nullptr)->OnDone(std::move(result_));
  }

  ChatService& service_;
  models::LanguageModel& model_;
  TurnRequest request_;
  std::shared_ptr<TurnSink> sink_;
  const absl::Time started_at_;
  models::ModelInfo info_;
  absl::optional<CitedText> cited_;  // where the answer is to have marks
  TurnResult result_;
  bool any_delta_ = false;

  absl::Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<models::Generation> generation_ ABSL_GUARDED_BY(mutex_);
};

void Answer::Append(const models::Delta& delta) {
  text.append(delta.text.data(), delta.text.size());
  reasoning.append(delta.reasoning.data(), delta.reasoning.size());
  for (const models::ToolCallDelta& piece : delta.tool_calls) {
    const auto index = static_cast<size_t>(piece.index);
    if (index >= tool_calls.size()) tool_calls.resize(index + 1);
    models::ToolCall& call = tool_calls[index];
    call.id += piece.id;
    call.name += piece.name;
    call.arguments += piece.arguments;
  }
  logprobs.insert(logprobs.end(), delta.logprobs.begin(), delta.logprobs.end());
}

ChatService::ChatService(const models::ModelCatalog& models, const retrieval::Retriever& retriever,
                         Executor& executor, Clock& clock, Options options)
    : models_(models),
      retriever_(retriever),
      executor_(executor),
      clock_(clock),
      options_(options) {}

absl::StatusOr<models::LanguageModel*> ChatService::ModelFor(const TurnRequest& request) const {
  AIB_RETURN_IF_ERROR(CheckTurn(request));
  AIB_ASSIGN_OR_RETURN(models::LanguageModel* const model, models_.Find(request.generate.model));
  AIB_RETURN_IF_ERROR(CheckTurnOf(model->info(), request));
  return model;
}

absl::StatusOr<int> ChatService::CountTokens(const TurnRequest& request) const {
  AIB_RETURN_IF_ERROR(ModelFor(request).status());
  return models::EstimatePromptTokens(request.generate);
}

absl::StatusOr<std::shared_ptr<Turn>> ChatService::Start(TurnRequest request,
                                                         std::shared_ptr<TurnSink> sink) {
  AIB_ASSIGN_OR_RETURN(models::LanguageModel* const model, ModelFor(request));
  const auto overloaded = [] {
    return WithRetryAfter(MakeError(Reason::OVERLOADED, "too many chats are under way"),
                          absl::Seconds(1));
  };
  if (turns_.fetch_add(1, std::memory_order_relaxed) >= options_.turns_max) {
    turns_.fetch_sub(1, std::memory_order_relaxed);
    return overloaded();
  }
  auto turn = std::make_shared<RunningTurn>(*this, *model, std::move(request), std::move(sink));
  if (!executor_.TrySubmit([turn] { turn->Run(); })) {
    turns_.fetch_sub(1, std::memory_order_relaxed);
    return overloaded();
  }
  return std::shared_ptr<Turn>(std::move(turn));
}

}  // namespace aibackend::chat
