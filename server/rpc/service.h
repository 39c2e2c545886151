// The gRPC services: who is admitted, and a table of contents. Each method is in the file of its
// resource.
#pragma once

#include "aibackend/v1/aibackend.grpc.pb.h"
#include "server/rpc/core.h"

namespace aibackend::rpc {

// Thread-safe. The core outlives the services.
class AiBackendService final : public v1::AiBackend::CallbackService {
 public:
  explicit AiBackendService(Core& core) : core_(core) {}

  grpc::ServerUnaryReactor* Chat(grpc::CallbackServerContext* context,
                                 const v1::ChatRequest* request,
                                 v1::ChatResponse* response) override;
  grpc::ServerWriteReactor<v1::ChatStreamEvent>* ChatStream(
      grpc::CallbackServerContext* context, const v1::ChatRequest* request) override;
  grpc::ServerUnaryReactor* CountTokens(grpc::CallbackServerContext* context,
                                        const v1::ChatRequest* request,
                                        v1::CountTokensResponse* response) override;
  grpc::ServerUnaryReactor* Embed(grpc::CallbackServerContext* context,
                                  const v1::EmbedRequest* request,
                                  v1::EmbedResponse* response) override;
  grpc::ServerUnaryReactor* Retrieve(grpc::CallbackServerContext* context,
                                     const v1::RetrieveRequest* request,
                                     v1::RetrieveResponse* response) override;
  grpc::ServerUnaryReactor* AddDocuments(grpc::CallbackServerContext* context,
                                         const v1::AddDocumentsRequest* request,
                                         v1::AddDocumentsResponse* response) override;
  grpc::ServerReadReactor<v1::UploadDocumentsRequest>* UploadDocuments(
      grpc::CallbackServerContext* context, v1::AddDocumentsResponse* response) override;
  grpc::ServerUnaryReactor* SeedDocuments(grpc::CallbackServerContext* context,
                                          const v1::SeedDocumentsRequest* request,
                                          v1::AddDocumentsResponse* response) override;
  grpc::ServerUnaryReactor* ListDocuments(grpc::CallbackServerContext* context,
                                          const v1::ListDocumentsRequest* request,
                                          v1::ListDocumentsResponse* response) override;
  grpc::ServerUnaryReactor* GetDocument(grpc::CallbackServerContext* context,
                                        const v1::GetDocumentRequest* request,
                                        v1::Document* response) override;
  grpc::ServerUnaryReactor* DeleteDocument(grpc::CallbackServerContext* context,
                                           const v1::DeleteDocumentRequest* request,
                                           v1::DeleteDocumentResponse* response) override;
  grpc::ServerUnaryReactor* ListCollections(grpc::CallbackServerContext* context,
                                            const v1::ListCollectionsRequest* request,
                                            v1::ListCollectionsResponse* response) override;
  grpc::ServerUnaryReactor* GetCollection(grpc::CallbackServerContext* context,
                                          const v1::GetCollectionRequest* request,
                                          v1::Collection* response) override;
  grpc::ServerUnaryReactor* DeleteCollection(grpc::CallbackServerContext* context,
                                             const v1::DeleteCollectionRequest* request,
                                             v1::DeleteCollectionResponse* response) override;
  grpc::ServerUnaryReactor* StartJob(grpc::CallbackServerContext* context,
                                     const v1::StartJobRequest* request,
                                     v1::Job* response) override;
  grpc::ServerUnaryReactor* GetJob(grpc::CallbackServerContext* context,
                                   const v1::GetJobRequest* request, v1::Job* response) override;
  grpc::ServerUnaryReactor* ListJobs(grpc::CallbackServerContext* context,
                                     const v1::ListJobsRequest* request,
                                     v1::ListJobsResponse* response) override;
  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* context,
                                       const v1::ListModelsRequest* request,
                                       v1::ListModelsResponse* response) override;

 private:
  Core& core_;
};

class AiBackendAdminService final : public v1::AiBackendAdmin::CallbackService {
 public:
  explicit AiBackendAdminService(Core& core) : core_(core) {}

  grpc::ServerUnaryReactor* ListUsage(grpc::CallbackServerContext* context,
                                      const v1::ListUsageRequest* request,
                                      v1::ListUsageResponse* response) override;
  grpc::ServerUnaryReactor* SummarizeUsage(grpc::CallbackServerContext* context,
                                           const v1::SummarizeUsageRequest* request,
                                           v1::UsageSummary* response) override;
  grpc::ServerUnaryReactor* GetRequest(grpc::CallbackServerContext* context,
                                       const v1::GetRequestRequest* request,
                                       v1::RequestView* response) override;
  grpc::ServerUnaryReactor* CreateKey(grpc::CallbackServerContext* context,
                                      const v1::CreateKeyRequest* request,
                                      v1::CreateKeyResponse* response) override;
  grpc::ServerUnaryReactor* ListKeys(grpc::CallbackServerContext* context,
                                     const v1::ListKeysRequest* request,
                                     v1::ListKeysResponse* response) override;
  grpc::ServerUnaryReactor* GetKey(grpc::CallbackServerContext* context,
                                   const v1::GetKeyRequest* request, v1::ApiKey* response) override;
  grpc::ServerUnaryReactor* UpdateKey(grpc::CallbackServerContext* context,
                                      const v1::UpdateKeyRequest* request,
                                      v1::ApiKey* response) override;
  grpc::ServerUnaryReactor* RotateKey(grpc::CallbackServerContext* context,
                                      const v1::RotateKeyRequest* request,
                                      v1::CreateKeyResponse* response) override;
  grpc::ServerUnaryReactor* RevokeKey(grpc::CallbackServerContext* context,
                                      const v1::RevokeKeyRequest* request,
                                      v1::RevokeKeyResponse* response) override;
  grpc::ServerUnaryReactor* SetLimits(grpc::CallbackServerContext* context,
                                      const v1::SubjectLimits* request,
                                      v1::SubjectLimits* response) override;
  grpc::ServerUnaryReactor* ListLimits(grpc::CallbackServerContext* context,
                                       const v1::ListLimitsRequest* request,
                                       v1::ListLimitsResponse* response) override;
  grpc::ServerUnaryReactor* GetQuota(grpc::CallbackServerContext* context,
                                     const v1::GetQuotaRequest* request,
                                     v1::Quota* response) override;
  grpc::ServerUnaryReactor* SetPrice(grpc::CallbackServerContext* context,
                                     const v1::SetPriceRequest* request,
                                     v1::Price* response) override;
  grpc::ServerUnaryReactor* ListPrices(grpc::CallbackServerContext* context,
                                       const v1::ListPricesRequest* request,
                                       v1::ListPricesResponse* response) override;
  grpc::ServerWriteReactor<v1::BodyPiece>* ExportUsage(
      grpc::CallbackServerContext* context, const v1::ExportUsageRequest* request) override;

 private:
  Core& core_;
};

}  // namespace aibackend::rpc
