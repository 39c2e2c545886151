// The methods of AiBackendAdmin.
#include <string>
#include <utility>

#include "client/call.h"
#include "client/client.h"

namespace aibackend::client {

Result<v1::ListUsageResponse> Client::ListUsage(const v1::ListUsageRequest& request,
                                                const CallOptions& options) {
  return Unary(*admin_, &v1::AiBackendAdmin::Stub::ListUsage, request, api_key_, options);
}

Result<std::string> Client::ExportUsage(const v1::ExportUsageRequest& request,
                                        const std::function<bool(std::string_view)>& on_piece,
                                        const CallOptions& options) {
  Call call(api_key_, options, kExportTimeout);
  const auto reader = admin_->ExportUsage(call.context(), request);
  std::string content_type;
  bool wanted = true;
  v1::BodyPiece piece;
  while (reader->Read(&piece)) {
    if (!piece.content_type().empty()) content_type = std::move(*piece.mutable_content_type());
    wanted = on_piece(piece.data());
    if (wanted) continue;
    call.context()->TryCancel();
    break;
  }
  const grpc::Status status = reader->Finish();
  if (!wanted) {  // whatever the status: the server may have been done already
    return MakeClientError(grpc::StatusCode::CANCELLED, v1::Error::CANCELLED,
                           "the export was given up by its reader", options.request_id);
  }
  if (!status.ok()) return call.Error(status);
  return content_type;
}

Result<v1::UsageSummary> Client::SummarizeUsage(const v1::SummarizeUsageRequest& request,
                                                const CallOptions& options) {
  return Unary(*admin_, &v1::AiBackendAdmin::Stub::SummarizeUsage, request, api_key_, options);
}

Result<v1::RequestView> Client::GetRequest(const v1::GetRequestRequest& request,
                                           const CallOptions& options) {
  return Unary(*admin_, &v1::AiBackendAdmin::Stub::GetRequest, request, api_key_, options);
}

Result<v1::CreateKeyResponse> Client::CreateKey(const v1::CreateKeyRequest& request,
                                                const CallOptions& options) {
  return Unary(*admin_, &v1::AiBackendAdmin::Stub::CreateKey, request, api_key_, options);
}

Result<v1::ListKeysResponse> Client::ListKeys(const v1::ListKeysRequest& request,
                                              const CallOptions& options) {
  return Unary(*admin_, &v1::AiBackendAdmin::Stub::ListKeys, request, api_key_, options);
}

Result<v1::ApiKey> Client::GetKey(const v1::GetKeyRequest& request, const CallOptions& options) {
  return Unary(*admin_, &v1::AiBackendAdmin::Stub::GetKey, request, api_key_, options);
}

Result<v1::ApiKey> Client::UpdateKey(const v1::UpdateKeyRequest& request,
                                     const CallOptions& options) {
  return Unary(*admin_, &v1::AiBackendAdmin::Stub::UpdateKey, request, api_key_, options);
}

Result<v1::CreateKeyResponse> Client::RotateKey(const v1::RotateKeyRequest& request,
                                                const CallOptions& options) {
  return Unary(*admin_, &v1::AiBackendAdmin::Stub::RotateKey, request, api_key_, options);
}

Result<v1::RevokeKeyResponse> Client::RevokeKey(const v1::RevokeKeyRequest& request,
                                                const CallOptions& options) {
  return Unary(*admin_, &v1::AiBackendAdmin::Stub::RevokeKey, request, api_key_, options);
}

Result<v1::SubjectLimits> Client::SetLimits(const v1::SubjectLimits& request,
                                            const CallOptions& options) {
  return Unary(*admin_, &v1::AiBackendAdmin::Stub::SetLimits, request, api_key_, options);
}

Result<v1::ListLimitsResponse> Client::ListLimits(const v1::ListLimitsRequest& request,
                                                  const CallOptions& options) {
  return Unary(*admin_, &v1::AiBackendAdmin::Stub::ListLimits, request, api_key_, options);
}

Result<v1::Quota> Client::GetQuota(const v1::GetQuotaRequest& request, const CallOptions& options) {
  return Unary(*admin_, &v1::AiBackendAdmin::Stub::GetQuota, request, api_key_, options);
}

Result<v1::Price> Client::SetPrice(const v1::SetPriceRequest& request, const CallOptions& options) {
  return Unary(*admin_, &v1::AiBackendAdmin::Stub::SetPrice, request, api_key_, options);
}

Result<v1::ListPricesResponse> Client::ListPrices(const v1::ListPricesRequest& request,
                                                  const CallOptions& options) {
  return Unary(*admin_, &v1::AiBackendAdmin::Stub::ListPrices, request, api_key_, options);
}

}  // namespace aibackend::client
