#include "server/chat/chat_service.h"

#include <utility>

#include "server/base/status.h"
#include "server/chat/guarded_question.h"
#include "server/chat/running_turn.h"
#include "server/chat/turn_rules.h"

namespace aibackend::chat {
namespace {

absl::Status Overloaded() {
  return WithRetryAfter(MakeError(Reason::OVERLOADED, "too many chats are under way"),
                        absl::Seconds(1));
}

}  // namespace

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
      executor_(executor),
      options_(options),
      world_(std::make_unique<TurnWorld>(TurnWorld{retriever, clock, options_, [this] {
                                                     turns_.fetch_sub(1, std::memory_order_relaxed);
                                                   }})) {}

ChatService::~ChatService() = default;

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

bool ChatService::guards_input() const {
  return options_.guardrails != nullptr && !options_.guardrails->input().empty();
}

absl::Status ChatService::Guard(TurnRequest& request) const {
  return GuardTurn(options_, request);
}

absl::Status ChatService::GuardThen(TurnRequest request, Guarded done) const {
  const bool queued =
      executor_.TrySubmit([this, request = std::move(request), done = std::move(done)]() mutable {
        const absl::Status status = Guard(request);
        done(std::move(request), status);
      });
  return queued ? absl::OkStatus() : Overloaded();
}

absl::Status ChatService::GuardInputs(std::vector<std::string>& texts,
                                      std::vector<std::string>& outcomes) const {
  return GuardTexts(options_, texts, outcomes);
}

absl::StatusOr<std::shared_ptr<Turn>> ChatService::Start(TurnRequest request,
                                                         std::shared_ptr<TurnSink> sink) {
  AIB_ASSIGN_OR_RETURN(models::LanguageModel* const model, ModelFor(request));
  if (turns_.fetch_add(1, std::memory_order_relaxed) >= options_.turns_max) {
    turns_.fetch_sub(1, std::memory_order_relaxed);
    return Overloaded();
  }
  auto turn = std::make_shared<RunningTurn>(*world_, *model, std::move(request), std::move(sink));
  if (!executor_.TrySubmit([turn] { turn->Run(); })) {
    turns_.fetch_sub(1, std::memory_order_relaxed);
    return Overloaded();
  }
  return std::shared_ptr<Turn>(std::move(turn));
}

}  // namespace aibackend::chat
