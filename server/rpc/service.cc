#include "server/rpc/service.h"

#include "server/rpc/call.h"
#include "server/rpc/chat_rpc.h"
#include "server/rpc/convert.h"
#include "server/rpc/documents_rpc.h"
#include "server/rpc/embed_rpc.h"
#include "server/rpc/jobs_rpc.h"
#include "server/rpc/upload_rpc.h"

namespace aibackend::rpc {

using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;

namespace {

absl::string_view Header(const CallbackServerContext& context, const char* name) {
  const auto found = context.client_metadata().find(name);
  if (found == context.client_metadata().end()) return {};
  return {found->second.data(), found->second.size()};
}

absl::Status Admit(const Core& core, const CallbackServerContext& context) {
  return core.gatekeeper.Admit({Header(context, "authorization"), Header(context, "x-api-key")});
}

// A refused call leaves its two log lines and no ledger row: nobody is known to whom it would
// belong.
template <class Start>
ServerUnaryReactor* Admitted(Core& core, CallbackServerContext& context, const char* endpoint,
                             Start start) {
  const absl::Status admission = Admit(core, context);
  if (admission.ok()) return start();
  grpc::ServerUnaryReactor* refused = context.DefaultReactor();
  refused->Finish(Call(core, context, endpoint).Finish(admission));
  return refused;
}

template <class Reactor>
class RefusedStream final : public Reactor {
 public:
  explicit RefusedStream(const grpc::Status& status) { this->Finish(status); }
  void OnDone() override { delete this; }
};

// `start` returns a Reactor*.
template <class Reactor, class Start>
Reactor* AdmittedStream(Core& core, CallbackServerContext& context, const char* endpoint,
                        Start start) {
  const absl::Status admission = Admit(core, context);
  if (admission.ok()) return start();
  return new RefusedStream<Reactor>(Call(core, context, endpoint).Finish(admission));
}

}  // namespace

ServerUnaryReactor* AiBackendService::Chat(CallbackServerContext* context,
                                           const v1::ChatRequest* request,
                                           v1::ChatResponse* response) {
  return Admitted(core_, *context, "Chat",
                  [&] { return StartChat(core_, *context, *request, response); });
}

grpc::ServerWriteReactor<v1::ChatStreamEvent>* AiBackendService::ChatStream(
    CallbackServerContext* context, const v1::ChatRequest* request) {
  return AdmittedStream<grpc::ServerWriteReactor<v1::ChatStreamEvent>>(
      core_, *context, "ChatStream", [&] { return StartChatStream(core_, *context, *request); });
}

ServerUnaryReactor* AiBackendService::CountTokens(CallbackServerContext* context,
                                                  const v1::ChatRequest* request,
                                                  v1::CountTokensResponse* response) {
  return Admitted(core_, *context, "CountTokens",
                  [&] { return rpc::CountTokens(core_, *context, *request, response); });
}

ServerUnaryReactor* AiBackendService::Embed(CallbackServerContext* context,
                                            const v1::EmbedRequest* request,
                                            v1::EmbedResponse* response) {
  return Admitted(core_, *context, "Embed",
                  [&] { return StartEmbed(core_, *context, *request, response); });
}

ServerUnaryReactor* AiBackendService::Retrieve(CallbackServerContext* context,
                                               const v1::RetrieveRequest* request,
                                               v1::RetrieveResponse* response) {
  return Admitted(core_, *context, "Retrieve",
                  [&] { return rpc::Retrieve(core_, *context, *request, response); });
}

ServerUnaryReactor* AiBackendService::AddDocuments(CallbackServerContext* context,
                                                   const v1::AddDocumentsRequest* request,
                                                   v1::AddDocumentsResponse* response) {
  return Admitted(core_, *context, "AddDocuments",
                  [&] { return rpc::AddDocuments(core_, *context, *request, response); });
}

grpc::ServerReadReactor<v1::UploadDocumentsRequest>* AiBackendService::UploadDocuments(
    CallbackServerContext* context, v1::AddDocumentsResponse* response) {
  return AdmittedStream<grpc::ServerReadReactor<v1::UploadDocumentsRequest>>(
      core_, *context, "UploadDocuments", [&] { return StartUpload(core_, *context, response); });
}

ServerUnaryReactor* AiBackendService::SeedDocuments(CallbackServerContext* context,
                                                    const v1::SeedDocumentsRequest* request,
                                                    v1::AddDocumentsResponse* response) {
  return Admitted(core_, *context, "SeedDocuments",
                  [&] { return rpc::SeedDocuments(core_, *context, *request, response); });
}

ServerUnaryReactor* AiBackendService::ListDocuments(CallbackServerContext* context,
                                                    const v1::ListDocumentsRequest* request,
                                                    v1::ListDocumentsResponse* response) {
  return Admitted(core_, *context, "ListDocuments",
                  [&] { return rpc::ListDocuments(core_, *context, *request, response); });
}

ServerUnaryReactor* AiBackendService::GetDocument(CallbackServerContext* context,
                                                  const v1::GetDocumentRequest* request,
                                                  v1::Document* response) {
  return Admitted(core_, *context, "GetDocument",
                  [&] { return rpc::GetDocument(core_, *context, *request, response); });
}

ServerUnaryReactor* AiBackendService::DeleteDocument(CallbackServerContext* context,
                                                     const v1::DeleteDocumentRequest* request,
                                                     v1::DeleteDocumentResponse* response) {
  return Admitted(core_, *context, "DeleteDocument",
                  [&] { return rpc::DeleteDocument(core_, *context, *request, response); });
}

ServerUnaryReactor* AiBackendService::ListCollections(CallbackServerContext* context,
                                                      const v1::ListCollectionsRequest* request,
                                                      v1::ListCollectionsResponse* response) {
  return Admitted(core_, *context, "ListCollections",
                  [&] { return rpc::ListCollections(core_, *context, *request, response); });
}

ServerUnaryReactor* AiBackendService::GetCollection(CallbackServerContext* context,
                                                    const v1::GetCollectionRequest* request,
                                                    v1::Collection* response) {
  return Admitted(core_, *context, "GetCollection",
                  [&] { return rpc::GetCollection(core_, *context, *request, response); });
}

ServerUnaryReactor* AiBackendService::DeleteCollection(CallbackServerContext* context,
                                                       const v1::DeleteCollectionRequest* request,
                                                       v1::DeleteCollectionResponse* response) {
  return Admitted(core_, *context, "DeleteCollection",
                  [&] { return rpc::DeleteCollection(core_, *context, *request, response); });
}

ServerUnaryReactor* AiBackendService::StartJob(CallbackServerContext* context,
                                               const v1::StartJobRequest* request,
                                               v1::Job* response) {
  return Admitted(core_, *context, "StartJob",
                  [&] { return rpc::StartJob(core_, *context, *request, response); });
}

ServerUnaryReactor* AiBackendService::GetJob(CallbackServerContext* context,
                                             const v1::GetJobRequest* request, v1::Job* response) {
  return Admitted(core_, *context, "GetJob",
                  [&] { return rpc::GetJob(core_, *context, *request, response); });
}

ServerUnaryReactor* AiBackendService::ListJobs(CallbackServerContext* context,
                                               const v1::ListJobsRequest* request,
                                               v1::ListJobsResponse* response) {
  return Admitted(core_, *context, "ListJobs",
                  [&] { return rpc::ListJobs(core_, *context, *request, response); });
}

ServerUnaryReactor* AiBackendService::ListModels(CallbackServerContext* context,
                                                 const v1::ListModelsRequest*,
                                                 v1::ListModelsResponse* response) {
  return Admitted(core_, *context, "ListModels", [&] {
    return (new BlockingCall(core_, *context, "ListModels"))->Run([this, response](Call&) {
      const auto add = [response](const std::vector<models::ModelInfo>& infos, const char* kind) {
        for (size_t i = 0; i < infos.size(); ++i) {
          Fill(infos[i], kind, /*is_default=*/i == 0, response->add_models());
        }
      };
      add(core_.models.Infos(), "chat");
      add(core_.models.EmbeddingInfos(), "embedding");
      return absl::OkStatus();
    });
  });
}

ServerUnaryReactor* AiBackendAdminService::ListUsage(CallbackServerContext* context,
                                                     const v1::ListUsageRequest* request,
                                                     v1::ListUsageResponse* response) {
  return Admitted(core_, *context, "ListUsage", [&] {
    return (new BlockingCall(core_, *context, "ListUsage"))->Run([this, request, response](Call&) {
      AIB_ASSIGN_OR_RETURN(const int page_size, PageSizeOf(*request));
      AIB_ASSIGN_OR_RETURN(const auto page, core_.ledger.List(page_size, request->page_token()));
      for (const auto& row : page.rows) Fill(row, response->add_requests());
      response->set_next_page_token(page.next_page_token);
      return absl::OkStatus();
    });
  });
}

}  // namespace aibackend::rpc
