#include "server/rpc/embed_rpc.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "server/chat/budget.h"
#include "server/rpc/call.h"
#include "server/rpc/convert_chat.h"

namespace aibackend::rpc {
namespace {

// What the ledger keeps of the inputs: the first, and how much there was in all. Without its text,
// where rules are to see it before.
void RecordInputs(const v1::EmbedRequest& request, bool is_guarded, Call& call) {
  size_t bytes = 0;
  for (const std::string& input : request.input()) bytes += input.size();
  const bool keeps_text = request.input_size() > 0 && !is_guarded;
  call.Record(keeps_text ? request.input(0) : std::string(), request.model());
  call.row().prompt_bytes = static_cast<int>(bytes);
}

class EmbedCall final : public grpc::ServerUnaryReactor {
 public:
  EmbedCall(Core& core, grpc::CallbackServerContext& context, const v1::EmbedRequest& request,
            v1::EmbedResponse* response)
      : core_(core), call_(core, context, "Embed", request.user()), response_(response) {}

  void Start(const v1::EmbedRequest& request) {
    const bool is_guarded = core_.chat.guards_input();
    RecordInputs(request, is_guarded, call_);
    if (!call_.admission().ok()) return Finish(call_.Finish(call_.admission()));
    auto work = Prepare(request);
    if (!work.ok()) return Finish(call_.Finish(work.status()));
    if (!is_guarded && !call_.pass()->is_metered()) return Ask(*std::move(work));
    // Rules may have much to read, and what was used before may have to be read from the database.
    const bool queued = core_.executor.TrySubmit([this, work = *std::move(work)]() mutable {
      absl::Status status = Guard(work.request);
      if (status.ok() && call_.pass()->is_metered()) status = Reserve(work);
      if (!status.ok()) return Finish(call_.Finish(status));
      Ask(std::move(work));
    });
    if (!queued) {
      Finish(call_.Finish(WithRetryAfter(
          MakeError(Reason::OVERLOADED, "too many calls are waiting"), absl::Seconds(1))));
    }
  }

  void OnCancel() override {
    absl::MutexLock lock(&mutex_);
    cancelled_ = true;
    if (generation_) generation_->Cancel();
  }
  void OnDone() override { delete this; }

 private:
  struct Work {
    models::EmbeddingModel* model;
    models::EmbedRequest request;
  };

  absl::StatusOr<Work> Prepare(const v1::EmbedRequest& request) {
    Work work;
    AIB_ASSIGN_OR_RETURN(work.request, ToEmbed(request));
    AIB_ASSIGN_OR_RETURN(work.model, core_.models.FindEmbedding(work.request.model));
    work.request.request_id = call_.request_id();
    work.request.trace = call_.span().context();
    work.request.model = work.model->info().id;
    call_.row().model = work.request.model;
    return work;
  }

  absl::Status Guard(models::EmbedRequest& request) {
    if (!core_.chat.guards_input()) return absl::OkStatus();
    std::vector<std::string> outcomes;
    absl::Status status = core_.chat.GuardInputs(request.inputs, outcomes);
    call_.row().guardrails = absl::StrJoin(outcomes, ",");
    if (status.ok()) call_.row().prompt = request.inputs.front();
    return status;
  }

  absl::Status Reserve(const Work& work) {
    AIB_RETURN_IF_ERROR(
        chat::ReserveEmbedding(*call_.pass(), core_.prices, work.model->info(), work.request));
    call_.KeepReserved();
    return absl::OkStatus();
  }

  void Ask(Work work) {
    absl::MutexLock lock(&mutex_);
    // Called from another thread, and not before this lock is free: it waits for it.
    generation_ = work.model->Embed(
        std::move(work.request), [this](models::EmbedResult result) { Done(std::move(result)); });
    if (cancelled_) generation_->Cancel();
  }

  void Done(models::EmbedResult result) {
    {
      absl::MutexLock lock(&mutex_);
      generation_ = nullptr;
    }
    usage::RequestRow& row = call_.row();
    if (!result.model.empty()) row.model = result.model;
    row.prompt_tokens = result.usage.prompt_tokens;
    row.usage_estimated = result.usage.estimated;
    row.upstream_calls = result.upstream_calls;
    Price(core_.prices, row);
    const grpc::Status status = call_.Finish(result.status);
    if (status.ok()) Fill(result);
    Finish(status);
  }

  void Fill(const models::EmbedResult& result) {
    response_->set_id(call_.request_id());
    response_->set_model(call_.row().model);
    for (const auto& vector : result.vectors) {
      response_->add_embeddings()->mutable_values()->Add(vector.begin(), vector.end());
    }
    FillUsage(result.usage, response_->mutable_usage());
    FillCost(call_.row().cost, call_.row().price_unknown, response_);
    response_->set_response_time_ms(call_.row().response_time_ms);
  }

  Core& core_;
  Call call_;
  v1::EmbedResponse* response_;

  absl::Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<models::Generation> generation_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

grpc::ServerUnaryReactor* StartEmbed(Core& core, grpc::CallbackServerContext& context,
                                     const v1::EmbedRequest& request, v1::EmbedResponse* response) {
  auto* call = new EmbedCall(core, context, request, response);
  call->Start(request);
  return call;
}

grpc::ServerUnaryReactor* CountTokens(Core& core, grpc::CallbackServerContext& context,
                                      const v1::ChatRequest& request,
                                      v1::CountTokensResponse* response) {
  return (new BlockingCall(core, context, "CountTokens"))
      ->Run([&core, &request, response](Call& call) {
        AIB_ASSIGN_OR_RETURN(const chat::TurnRequest turn, ToTurn(request, call.tenant()));
        AIB_ASSIGN_OR_RETURN(const int tokens, core.chat.CountTokens(turn));
        response->set_prompt_tokens(tokens);
        return absl::OkStatus();
      });
}

}  // namespace aibackend::rpc
