#include "server/rpc/embed_rpc.h"

#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/chat/budget.h"
#include "server/rpc/call.h"
#include "server/rpc/convert_chat.h"

namespace aibackend::rpc {
namespace {

// What the ledger keeps of the inputs: the first, and how much there was in all.
void RecordInputs(const v1::EmbedRequest& request, Call& call) {
  size_t bytes = 0;
  for (const std::string& input : request.input()) bytes += input.size();
  call.Record(request.input_size() > 0 ? request.input(0) : std::string(), request.model());
  call.row().prompt_bytes = static_cast<int>(bytes);
}

class EmbedCall final : public grpc::ServerUnaryReactor {
 public:
  EmbedCall(Core& core, grpc::CallbackServerContext& context, const v1::EmbedRequest& request,
            v1::EmbedResponse* response)
      : core_(core), call_(core, context, "Embed", request.user()), response_(response) {}

  void Start(const v1::EmbedRequest& request) {
    RecordInputs(request, call_);
    if (!call_.admission().ok()) return Finish(call_.Finish(call_.admission()));
    auto work = Prepare(request);
    if (!work.ok()) return Finish(call_.Finish(work.status()));
    if (!call_.pass()->is_metered()) return Ask(*std::move(work));
    // What was used before may have to be read from the database.
    const bool queued = core_.executor.TrySubmit([this, work = *std::move(work)]() mutable {
      const absl::Status reserved =
          chat::ReserveEmbedding(*call_.pass(), core_.prices, work.model->info(), work.request);
      if (!reserved.ok()) return Finish(call_.Finish(reserved));
      call_.KeepReserved();
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
