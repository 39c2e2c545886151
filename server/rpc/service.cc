#include "server/rpc/service.h"

#include "server/rpc/call.h"
#include "server/rpc/chat_rpc.h"
#include "server/rpc/convert.h"
#include "server/rpc/documents_rpc.h"
#include "server/rpc/embed_rpc.h"
#include "server/rpc/jobs_rpc.h"
#include "server/rpc/keys_rpc.h"
#include "server/rpc/prices_rpc.h"
#include "server/rpc/upload_rpc.h"
#include "server/rpc/usage_export_rpc.h"
#include "server/rpc/usage_rpc.h"

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

ServerUnaryReactor* AiBackendService::CountTokens(CallbackServerContext* context,
                                                  const v1::ChatRequest* request,
                                                  v1::CountTokensResponse* response) {
  return rpc::CountTokens(core_, *context, *request, response);
}

ServerUnaryReactor* AiBackendService::Embed(CallbackServerContext* context,
                                            const v1::EmbedRequest* request,
                                            v1::EmbedResponse* response) {
  return StartEmbed(core_, *context, *request, response);
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

grpc::ServerReadReactor<v1::UploadDocumentsRequest>* AiBackendService::UploadDocuments(
    CallbackServerContext* context, v1::AddDocumentsResponse* response) {
  return StartUpload(core_, *context, response);
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

ServerUnaryReactor* AiBackendService::ListCollections(CallbackServerContext* context,
                                                      const v1::ListCollectionsRequest* request,
                                                      v1::ListCollectionsResponse* response) {
  return rpc::ListCollections(core_, *context, *request, response);
}

ServerUnaryReactor* AiBackendService::GetCollection(CallbackServerContext* context,
                                                    const v1::GetCollectionRequest* request,
                                                    v1::Collection* response) {
  return rpc::GetCollection(core_, *context, *request, response);
}

ServerUnaryReactor* AiBackendService::DeleteCollection(CallbackServerContext* context,
                                                       const v1::DeleteCollectionRequest* request,
                                                       v1::DeleteCollectionResponse* response) {
  return rpc::DeleteCollection(core_, *context, *request, response);
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
    const auto add = [response](const std::vector<models::ModelInfo>& infos, const char* kind) {
      for (size_t i = 0; i < infos.size(); ++i) {
        Fill(infos[i], kind, /*is_default=*/i == 0, response->add_models());
      }
    };
    add(core_.models.Infos(), "chat");
    add(core_.models.EmbeddingInfos(), "embedding");
    return absl::OkStatus();
  });
}

ServerUnaryReactor* AiBackendAdminService::ListUsage(CallbackServerContext* context,
                                                     const v1::ListUsageRequest* request,
                                                     v1::ListUsageResponse* response) {
  return rpc::ListUsage(core_, *context, *request, response);
}

ServerUnaryReactor* AiBackendAdminService::SummarizeUsage(CallbackServerContext* context,
                                                          const v1::SummarizeUsageRequest* request,
                                                          v1::UsageSummary* response) {
  return rpc::SummarizeUsage(core_, *context, *request, response);
}

ServerUnaryReactor* AiBackendAdminService::GetRequest(CallbackServerContext* context,
                                                      const v1::GetRequestRequest* request,
                                                      v1::RequestView* response) {
  return rpc::GetRequest(core_, *context, *request, response);
}

ServerUnaryReactor* AiBackendAdminService::CreateKey(CallbackServerContext* context,
                                                     const v1::CreateKeyRequest* request,
                                                     v1::CreateKeyResponse* response) {
  return rpc::CreateKey(core_, *context, *request, response);
}

ServerUnaryReactor* AiBackendAdminService::ListKeys(CallbackServerContext* context,
                                                    const v1::ListKeysRequest* request,
                                                    v1::ListKeysResponse* response) {
  return rpc::ListKeys(core_, *context, *request, response);
}

ServerUnaryReactor* AiBackendAdminService::GetKey(CallbackServerContext* context,
                                                  const v1::GetKeyRequest* request,
                                                  v1::ApiKey* response) {
  return rpc::GetKey(core_, *context, *request, response);
}

ServerUnaryReactor* AiBackendAdminService::UpdateKey(CallbackServerContext* context,
                                                     const v1::UpdateKeyRequest* request,
                                                     v1::ApiKey* response) {
  return rpc::UpdateKey(core_, *context, *request, response);
}

ServerUnaryReactor* AiBackendAdminService::RotateKey(CallbackServerContext* context,
                                                     const v1::RotateKeyRequest* request,
                                                     v1::CreateKeyResponse* response) {
  return rpc::RotateKey(core_, *context, *request, response);
}

ServerUnaryReactor* AiBackendAdminService::RevokeKey(CallbackServerContext* context,
                                                     const v1::RevokeKeyRequest* request,
                                                     v1::RevokeKeyResponse* response) {
  return rpc::RevokeKey(core_, *context, *request, response);
}

ServerUnaryReactor* AiBackendAdminService::SetLimits(CallbackServerContext* context,
                                                     const v1::SubjectLimits* request,
                                                     v1::SubjectLimits* response) {
  return rpc::SetLimits(core_, *context, *request, response);
}

ServerUnaryReactor* AiBackendAdminService::ListLimits(CallbackServerContext* context,
                                                      const v1::ListLimitsRequest* request,
                                                      v1::ListLimitsResponse* response) {
  return rpc::ListLimits(core_, *context, *request, response);
}

ServerUnaryReactor* AiBackendAdminService::GetQuota(CallbackServerContext* context,
                                                    const v1::GetQuotaRequest* request,
                                                    v1::Quota* response) {
  return rpc::GetQuota(core_, *context, *request, response);
}

ServerUnaryReactor* AiBackendAdminService::SetPrice(CallbackServerContext* context,
                                                    const v1::SetPriceRequest* request,
                                                    v1::Price* response) {
  return rpc::SetPrice(core_, *context, *request, response);
}

ServerUnaryReactor* AiBackendAdminService::ListPrices(CallbackServerContext* context,
                                                      const v1::ListPricesRequest* request,
                                                      v1::ListPricesResponse* response) {
  return rpc::ListPrices(core_, *context, *request, response);
}

grpc::ServerWriteReactor<v1::BodyPiece>* AiBackendAdminService::ExportUsage(
    CallbackServerContext* context, const v1::ExportUsageRequest* request) {
  return StartUsageExport(core_, *context, *request);
}

}  // namespace aibackend::rpc
