#include "server/rpc/service.h"

#include "server/rpc/call.h"
#include "server/rpc/chat_rpc.h"
#include "server/rpc/convert.h"
#include "server/rpc/documents_rpc.h"
#include "server/rpc/jobs_rpc.h"

namespace aibackend::rpc {

using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;

ServerUnaryReactor* AiBackendService::Chat(CallbackServerContext* context,
                                           const v1::ChatRequest* request,
                                           v1::ChatResponse* response) {
  return StartChat(core_, *context, *request, response);
}

grpc::ServerWriteReactor<v1::ChatStreamEvent>* AiBackendService::ChatStream(
    CallbackServerContext* context, const v1::ChatRequest* request) {
  return StartChatStream(core_, *context, *request);
}

ServerUnaryReactor* AiBackendService::Retrieve(CallbackServerContext* context,
                                               const v1::RetrieveRequest* request,
                                               v1::RetrieveResponse* response) {
  return rpc::Retrieve(core_, *context, *request, response);
}

ServerUnaryReactor* AiBackendService::AddDocuments(CallbackServerContext* context,
                                                   const v1::AddDocumentsRequest* request,
                                                   v1::AddDocumentsResponse* response) {
  return rpc::AddDocuments(core_, *context, *request, response);
}

ServerUnaryReactor* AiBackendService::SeedDocuments(CallbackServerContext* context,
                                                    const v1::SeedDocumentsRequest* request,
                                                    v1::AddDocumentsResponse* response) {
  return rpc::SeedDocuments(core_, *context, *request, response);
}

ServerUnaryReactor* AiBackendService::ListDocuments(CallbackServerContext* context,
                                                    const v1::ListDocumentsRequest* request,
                                                    v1::ListDocumentsResponse* response) {
  return rpc::ListDocuments(core_, *context, *request, response);
}

ServerUnaryReactor* AiBackendService::GetDocument(CallbackServerContext* context,
                                                  const v1::GetDocumentRequest* request,
                                                  v1::Document* response) {
  return rpc::GetDocument(core_, *context, *request, response);
}

ServerUnaryReactor* AiBackendService::DeleteDocument(CallbackServerContext* context,
                                                     const v1::DeleteDocumentRequest* request,
                                                     v1::DeleteDocumentResponse* response) {
  return rpc::DeleteDocument(core_, *context, *request, response);
}

ServerUnaryReactor* AiBackendService::StartJob(CallbackServerContext* context,
                                               const v1::StartJobRequest* request,
                                               v1::Job* response) {
  return rpc::StartJob(core_, *context, *request, response);
}

ServerUnaryReactor* AiBackendService::GetJob(CallbackServerContext* context,
                                             const v1::GetJobRequest* request, v1::Job* response) {
  return rpc::GetJob(core_, *context, *request, response);
}

ServerUnaryReactor* AiBackendService::ListJobs(CallbackServerContext* context,
                                               const v1::ListJobsRequest* request,
                                               v1::ListJobsResponse* response) {
  return rpc::ListJobs(core_, *context, *request, response);
}

ServerUnaryReactor* AiBackendService::ListModels(CallbackServerContext* context,
                                                 const v1::ListModelsRequest*,
                                                 v1::ListModelsResponse* response) {
  return (new BlockingCall(core_, *context, "ListModels"))->Run([this, response](Call&) {
    for (const auto& info : core_.models.Infos()) {
      Fill(info, "chat", response->models_size() == 0, response->add_models());
    }
    const int chat_models = response->models_size();
    for (const auto& info : core_.models.EmbeddingInfos()) {
      Fill(info, "embedding", response->models_size() == chat_models, response->add_models());
    }
    return absl::OkStatus();
  });
}

ServerUnaryReactor* AiBackendAdminService::ListUsage(CallbackServerContext* context,
                                                     const v1::ListUsageRequest* request,
                                                     v1::ListUsageResponse* response) {
  return (new BlockingCall(core_, *context, "ListUsage"))->Run([this, request, response](Call&) {
    AIB_ASSIGN_OR_RETURN(const int page_size, PageSizeOf(*request));
    AIB_ASSIGN_OR_RETURN(const auto page, core_.ledger.List(page_size, request->page_token()));
    for (const auto& row : page.rows) Fill(row, response->add_requests());
    response->set_next_page_token(page.next_page_token);
    return absl::OkStatus();
  });
}

}  // namespace aibackend::rpc
