// A double of AiBackendAdmin: each method does what the test says.
#pragma once

#include <functional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "aibackend/v1/aibackend.grpc.pb.h"
#include "grpcpp/server_context.h"

namespace aibackend::client {

// Set the functions before the first call.
class FakeAdmin final : public v1::AiBackendAdmin::Service {
 public:
  template <class Request, class Response>
  using Method = std::function<grpc::Status(const Request&, Response&)>;
  using Writer = grpc::ServerWriter<v1::BodyPiece>;

  Method<v1::ListUsageRequest, v1::ListUsageResponse> list_usage;
  Method<v1::SummarizeUsageRequest, v1::UsageSummary> summarize_usage;
  Method<v1::GetRequestRequest, v1::RequestView> get_request;
  Method<v1::CreateKeyRequest, v1::CreateKeyResponse> create_key;
  Method<v1::ListKeysRequest, v1::ListKeysResponse> list_keys;
  Method<v1::GetKeyRequest, v1::ApiKey> get_key;
  Method<v1::UpdateKeyRequest, v1::ApiKey> update_key;
  Method<v1::RotateKeyRequest, v1::CreateKeyResponse> rotate_key;
  Method<v1::RevokeKeyRequest, v1::RevokeKeyResponse> revoke_key;
  Method<v1::SubjectLimits, v1::SubjectLimits> set_limits;
  Method<v1::ListLimitsRequest, v1::ListLimitsResponse> list_limits;
  Method<v1::GetQuotaRequest, v1::Quota> get_quota;
  Method<v1::SetPriceRequest, v1::Price> set_price;
  Method<v1::ListPricesRequest, v1::ListPricesResponse> list_prices;
  std::function<grpc::Status(const v1::ExportUsageRequest&, Writer&)> export_usage;

  // The header `authorization` of the last call; empty where there was none.
  std::string authorization() const {
    absl::MutexLock lock(&mutex_);
    return authorization_;
  }

 private:
  void Note(const grpc::ServerContext& context) {
    const auto found = context.client_metadata().find("authorization");
    absl::MutexLock lock(&mutex_);
    authorization_ = found == context.client_metadata().end()
                         ? std::string()
                         : std::string(found->second.data(), found->second.size());
  }
  template <class Request, class Response>
  grpc::Status Do(const Method<Request, Response>& method, const grpc::ServerContext* context,
                  const Request* request, Response* response) {
    Note(*context);
    if (!method) return {grpc::StatusCode::UNIMPLEMENTED, "the test expects no such call"};
    return method(*request, *response);
  }

  grpc::Status ListUsage(grpc::ServerContext* context, const v1::ListUsageRequest* request,
                         v1::ListUsageResponse* response) override {
    return Do(list_usage, context, request, response);
  }
  grpc::Status SummarizeUsage(grpc::ServerContext* context,
                              const v1::SummarizeUsageRequest* request,
                              v1::UsageSummary* response) override {
    return Do(summarize_usage, context, request, response);
  }
  grpc::Status GetRequest(grpc::ServerContext* context, const v1::GetRequestRequest* request,
                          v1::RequestView* response) override {
    return Do(get_request, context, request, response);
  }
  grpc::Status CreateKey(grpc::ServerContext* context, const v1::CreateKeyRequest* request,
                         v1::CreateKeyResponse* response) override {
    return Do(create_key, context, request, response);
  }
  grpc::Status ListKeys(grpc::ServerContext* context, const v1::ListKeysRequest* request,
                        v1::ListKeysResponse* response) override {
    return Do(list_keys, context, request, response);
  }
  grpc::Status GetKey(grpc::ServerContext* context, const v1::GetKeyRequest* request,
                      v1::ApiKey* response) override {
    return Do(get_key, context, request, response);
  }
  grpc::Status UpdateKey(grpc::ServerContext* context, const v1::UpdateKeyRequest* request,
                         v1::ApiKey* response) override {
    return Do(update_key, context, request, response);
  }
  grpc::Status RotateKey(grpc::ServerContext* context, const v1::RotateKeyRequest* request,
                         v1::CreateKeyResponse* response) override {
    return Do(rotate_key, context, request, response);
  }
  grpc::Status RevokeKey(grpc::ServerContext* context, const v1::RevokeKeyRequest* request,
                         v1::RevokeKeyResponse* response) override {
    return Do(revoke_key, context, request, response);
  }
  grpc::Status SetLimits(grpc::ServerContext* context, const v1::SubjectLimits* request,
                         v1::SubjectLimits* response) override {
    return Do(set_limits, context, request, response);
  }
  grpc::Status ListLimits(grpc::ServerContext* context, const v1::ListLimitsRequest* request,
                          v1::ListLimitsResponse* response) override {
    return Do(list_limits, context, request, response);
  }
  grpc::Status GetQuota(grpc::ServerContext* context, const v1::GetQuotaRequest* request,
                        v1::Quota* response) override {
    return Do(get_quota, context, request, response);
  }
  grpc::Status SetPrice(grpc::ServerContext* context, const v1::SetPriceRequest* request,
                        v1::Price* response) override {
    return Do(set_price, context, request, response);
  }
  grpc::Status ListPrices(grpc::ServerContext* context, const v1::ListPricesRequest* request,
                          v1::ListPricesResponse* response) override {
    return Do(list_prices, context, request, response);
  }
  grpc::Status ExportUsage(grpc::ServerContext* context, const v1::ExportUsageRequest* request,
                           Writer* writer) override {
    Note(*context);
    return export_usage(*request, *writer);
  }

  mutable absl::Mutex mutex_;
  std::string authorization_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace aibackend::client
