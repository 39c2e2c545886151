// A double of the service on a real port: each method does what the test says.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "aibackend/v1/aibackend.grpc.pb.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/ext/health_check_service_server_builder_option.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "tests/unit/client/fake_admin.h"

namespace aibackend::client {

// Set the functions before the first call.
class FakeBackend final : public v1::AiBackend::Service {
 public:
  using Writer = grpc::ServerWriter<v1::ChatStreamEvent>;

  FakeBackend() {
    grpc::EnableDefaultHealthCheckService(true);
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.SetMaxReceiveMessageSize(16 << 20);
    builder.RegisterService(this);
    builder.RegisterService(&admin);
    server_ = builder.BuildAndStart();
    target_ = absl::StrCat("127.0.0.1:", port);
  }
  ~FakeBackend() override { server_->Shutdown(std::chrono::system_clock::now()); }

  const std::string& target() const { return target_; }
  void SetServing(bool serving) { server_->GetHealthCheckService()->SetServingStatus(serving); }

  FakeAdmin admin;  // on the same port
  std::function<grpc::Status(grpc::ServerContext&, const v1::ChatRequest&, v1::ChatResponse&)> chat;
  std::function<grpc::Status(grpc::ServerContext&, const v1::ChatRequest&, Writer&)> chat_stream;
  std::function<grpc::Status(const v1::RetrieveRequest&, v1::RetrieveResponse&)> retrieve;
  std::function<grpc::Status(const v1::ListCollectionsRequest&, v1::ListCollectionsResponse&)>
      list_collections;
  std::function<grpc::Status(const v1::GetCollectionRequest&, v1::Collection&)> get_collection;
  std::function<grpc::Status(const v1::DeleteCollectionRequest&, v1::DeleteCollectionResponse&)>
      delete_collection;
  std::function<grpc::Status(const v1::AddDocumentsRequest&, v1::AddDocumentsResponse&)> add;
  std::function<grpc::Status(grpc::ServerReader<v1::UploadDocumentsRequest>&,
                             v1::AddDocumentsResponse&)>
      upload;
  std::function<grpc::Status(const v1::StartJobRequest&, v1::Job&)> start_job;
  std::function<grpc::Status(const v1::GetJobRequest&, v1::Job&)> get_job;
  std::function<grpc::Status(const v1::ListDocumentsRequest&, v1::ListDocumentsResponse&)> list;

 private:
  grpc::Status Chat(grpc::ServerContext* context, const v1::ChatRequest* request,
                    v1::ChatResponse* response) override {
    return chat(*context, *request, *response);
  }
  grpc::Status ChatStream(grpc::ServerContext* context, const v1::ChatRequest* request,
                          Writer* writer) override {
    return chat_stream(*context, *request, *writer);
  }
  grpc::Status Retrieve(grpc::ServerContext*, const v1::RetrieveRequest* request,
                        v1::RetrieveResponse* response) override {
    return retrieve(*request, *response);
  }
  grpc::Status ListCollections(grpc::ServerContext*, const v1::ListCollectionsRequest* request,
                               v1::ListCollectionsResponse* response) override {
    return list_collections(*request, *response);
  }
  grpc::Status GetCollection(grpc::ServerContext*, const v1::GetCollectionRequest* request,
                             v1::Collection* response) override {
    return get_collection(*request, *response);
  }
  grpc::Status DeleteCollection(grpc::ServerContext*, const v1::DeleteCollectionRequest* request,
                                v1::DeleteCollectionResponse* response) override {
    return delete_collection(*request, *response);
  }
  grpc::Status AddDocuments(grpc::ServerContext*, const v1::AddDocumentsRequest* request,
                            v1::AddDocumentsResponse* response) override {
    return add(*request, *response);
  }
  grpc::Status UploadDocuments(grpc::ServerContext*,
                               grpc::ServerReader<v1::UploadDocumentsRequest>* reader,
                               v1::AddDocumentsResponse* response) override {
    return upload(*reader, *response);
  }
  grpc::Status StartJob(grpc::ServerContext*, const v1::StartJobRequest* request,
                        v1::Job* response) override {
    return start_job(*request, *response);
  }
  grpc::Status GetJob(grpc::ServerContext*, const v1::GetJobRequest* request,
                      v1::Job* response) override {
    return get_job(*request, *response);
  }
  grpc::Status ListDocuments(grpc::ServerContext*, const v1::ListDocumentsRequest* request,
                             v1::ListDocumentsResponse* response) override {
    return list(*request, *response);
  }

  std::string target_;
  std::unique_ptr<grpc::Server> server_;
};

inline v1::ChatStreamEvent Delta(const std::string& text) {
  v1::ChatStreamEvent event;
  event.set_delta(text);
  return event;
}

inline v1::ChatStreamEvent Done(v1::ChatResponse response) {
  v1::ChatStreamEvent event;
  *event.mutable_done() = std::move(response);
  return event;
}

// An error as the contract says it travels (errors.proto).
inline grpc::Status ContractError(grpc::StatusCode code, const std::string& reason,
                                  const std::string& message, const std::string& field) {
  google::rpc::Status status;
  status.set_code(code);
  status.set_message(message);
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain("aibackend");
  status.add_details()->PackFrom(info);
  google::rpc::BadRequest bad;
  bad.add_field_violations()->set_field(field);
  status.add_details()->PackFrom(bad);
  google::rpc::RequestInfo request;
  request.set_request_id("req_1");
  status.add_details()->PackFrom(request);
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(1);
  retry.mutable_retry_delay()->set_nanos(500'000'000);
  status.add_details()->PackFrom(retry);
  return {code, message, status.SerializeAsString()};
}

}  // namespace aibackend::client
