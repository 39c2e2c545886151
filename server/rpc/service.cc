#include "server/rpc/service.h"

#include "aibackend/v1/aibackend.grpc.pb.h"
#include "grpcpp/grpcpp.h"
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
namespace {

using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;

class AiBackendService final : public v1::AiBackend::CallbackService {
 public:
  explicit AiBackendService(Core& core) : core_(core) {}

  ServerUnaryReactor* Chat(CallbackServerContext* context, const v1::ChatRequest* request,
                           v1::ChatResponse* response) override {
    return StartChat(core_, *context, *request, response);
  }

  grpc::ServerWriteReactor<v1::ChatStreamEvent>* ChatStream(
      CallbackServerContext* context, const v1::ChatRequest* request) override {
    return StartChatStream(core_, *context, *request);
  }

  ServerUnaryReactor* CountTokens(CallbackServerContext* context, const v1::ChatRequest* request,
                                  v1::CountTokensResponse* response) override {
    return rpc::CountTokens(core_, *context, *request, response);
  }

  ServerUnaryReactor* Embed(CallbackServerContext* context, const v1::EmbedRequest* request,
                            v1::EmbedResponse* response) override {
    return StartEmbed(core_, *context, *request, response);
  }

  ServerUnaryReactor* Retrieve(CallbackServerContext* context, const v1::RetrieveRequest* request,
                               v1::RetrieveResponse* response) override {
    return rpc::Retrieve(core_, *context, *request, response);
  }

  ServerUnaryReactor* AddDocuments(CallbackServerContext* context,
                                   const v1::AddDocumentsRequest* request,
                                   v1::AddDocumentsResponse* response) override {
    return rpc::AddDocuments(core_, *context, *request, response);
  }

  grpc::ServerReadReactor<v1::UploadDocumentsRequest>* UploadDocuments(
      CallbackServerContext* context, v1::AddDocumentsResponse* response) override {
    return StartUpload(core_, *context, response);
  }

  ServerUnaryReactor* SeedDocuments(CallbackServerContext* context,
                                    const v1::SeedDocumentsRequest* request,
                                    v1::AddDocumentsResponse* response) override {
    return rpc::SeedDocuments(core_, *context, *request, response);
  }

  ServerUnaryReactor* ListDocuments(CallbackServerContext* context,
                                    const v1::ListDocumentsRequest* request,
                                    v1::ListDocumentsResponse* response) override {
    return rpc::ListDocuments(core_, *context, *request, response);
  }

  ServerUnaryReactor* GetDocument(CallbackServerContext* context,
                                  const v1::GetDocumentRequest* request,
                                  v1::Document* response) override {
    return rpc::GetDocument(core_, *context, *request, response);
  }

  ServerUnaryReactor* DeleteDocument(CallbackServerContext* context,
                                     const v1::DeleteDocumentRequest* request,
                                     v1::DeleteDocumentResponse* response) override {
    return rpc::DeleteDocument(core_, *context, *request, response);
  }

  ServerUnaryReactor* ListCollections(CallbackServerContext* context,
                                      const v1::ListCollectionsRequest* request,
                                      v1::ListCollectionsResponse* response) override {
    return rpc::ListCollections(core_, *context, *request, response);
  }

  ServerUnaryReactor* GetCollection(CallbackServerContext* context,
                                    const v1::GetCollectionRequest* request,
                                    v1::Collection* response) override {
    return rpc::GetCollection(core_, *context, *request, response);
  }

  ServerUnaryReactor* DeleteCollection(CallbackServerContext* context,
                                       const v1::DeleteCollectionRequest* request,
                                       v1::DeleteCollectionResponse* response) override {
    return rpc::DeleteCollection(core_, *context, *request, response);
  }

  ServerUnaryReactor* StartJob(CallbackServerContext* context, const v1::StartJobRequest* request,
                               v1::Job* response) override {
    return rpc::StartJob(core_, *context, *request, response);
  }

  ServerUnaryReactor* GetJob(CallbackServerContext* context, const v1::GetJobRequest* request,
                             v1::Job* response) override {
    return rpc::GetJob(core_, *context, *request, response);
  }

  ServerUnaryReactor* ListJobs(CallbackServerContext* context, const v1::ListJobsRequest* request,
                               v1::ListJobsResponse* response) override {
    return rpc::ListJobs(core_, *context, *request, response);
  }

  ServerUnaryReactor* ListModels(CallbackServerContext* context, const v1::ListModelsRequest*,
                                 v1::ListModelsResponse* response) override {
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

 private:
  Core& core_;
};

class AiBackendAdminService final : public v1::AiBackendAdmin::CallbackService {
 public:
  explicit AiBackendAdminService(Core& core) : core_(core) {}

  ServerUnaryReactor* ListUsage(CallbackServerContext* context, const v1::ListUsageRequest* request,
                                v1::ListUsageResponse* response) override {
    return rpc::ListUsage(core_, *context, *request, response);
  }

  ServerUnaryReactor* SummarizeUsage(CallbackServerContext* context,
                                     const v1::SummarizeUsageRequest* request,
                                     v1::UsageSummary* response) override {
    return rpc::SummarizeUsage(core_, *context, *request, response);
  }

  ServerUnaryReactor* GetRequest(CallbackServerContext* context,
                                 const v1::GetRequestRequest* request,
                                 v1::RequestView* response) override {
    return rpc::GetRequest(core_, *context, *request, response);
  }

  ServerUnaryReactor* CreateKey(CallbackServerContext* context, const v1::CreateKeyRequest* request,
                                v1::CreateKeyResponse* response) override {
    return rpc::CreateKey(core_, *context, *request, response);
  }

  ServerUnaryReactor* ListKeys(CallbackServerContext* context, const v1::ListKeysRequest* request,
                               v1::ListKeysResponse* response) override {
    return rpc::ListKeys(core_, *context, *request, response);
  }

  ServerUnaryReactor* GetKey(CallbackServerContext* context, const v1::GetKeyRequest* request,
                             v1::ApiKey* response) override {
    return rpc::GetKey(core_, *context, *request, response);
  }

  ServerUnaryReactor* UpdateKey(CallbackServerContext* context, const v1::UpdateKeyRequest* request,
                                v1::ApiKey* response) override {
    return rpc::UpdateKey(core_, *context, *request, response);
  }

  ServerUnaryReactor* RotateKey(CallbackServerContext* context, const v1::RotateKeyRequest* request,
                                v1::CreateKeyResponse* response) override {
    return rpc::RotateKey(core_, *context, *request, response);
  }

  ServerUnaryReactor* RevokeKey(CallbackServerContext* context, const v1::RevokeKeyRequest* request,
                                v1::RevokeKeyResponse* response) override {
    return rpc::RevokeKey(core_, *context, *request, response);
  }

  ServerUnaryReactor* SetLimits(CallbackServerContext* context, const v1::SubjectLimits* request,
                                v1::SubjectLimits* response) override {
    return rpc::SetLimits(core_, *context, *request, response);
  }

  ServerUnaryReactor* ListLimits(CallbackServerContext* context,
                                 const v1::ListLimitsRequest* request,
                                 v1::ListLimitsResponse* response) override {
    return rpc::ListLimits(core_, *context, *request, response);
  }

  ServerUnaryReactor* GetQuota(CallbackServerContext* context, const v1::GetQuotaRequest* request,
                               v1::Quota* response) override {
    return rpc::GetQuota(core_, *context, *request, response);
  }

  ServerUnaryReactor* SetPrice(CallbackServerContext* context, const v1::SetPriceRequest* request,
                               v1::Price* response) override {
    return rpc::SetPrice(core_, *context, *request, response);
  }

  ServerUnaryReactor* ListPrices(CallbackServerContext* context,
                                 const v1::ListPricesRequest* request,
                                 v1::ListPricesResponse* response) override {
    return rpc::ListPrices(core_, *context, *request, response);
  }

  grpc::ServerWriteReactor<v1::BodyPiece>* ExportUsage(
      CallbackServerContext* context, const v1::ExportUsageRequest* request) override {
    return StartUsageExport(core_, *context, *request);
  }

 private:
  Core& core_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeAiBackendService(Core& core) {
  return std::make_unique<AiBackendService>(core);
}

std::unique_ptr<grpc::Service> MakeAiBackendAdminService(Core& core) {
  return std::make_unique<AiBackendAdminService>(core);
}

}  // namespace aibackend::rpc
