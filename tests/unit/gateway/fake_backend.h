// A gRPC server of the contract in this process, whose methods the test writes.
#pragma once

#include <grpcpp/ext/health_check_service_server_builder_option.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "aibackend/v1/aibackend.grpc.pb.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace aibackend::gateway {

// As the server sends it.
inline grpc::Status ErrorStatus(grpc::StatusCode code, const std::string& reason,
                                const std::string& message, const std::string& field = {},
                                int retry_after_ms = 0) {
  google::rpc::Status status;
  status.set_code(code);
  status.set_message(message);
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain("aibackend");
  status.add_details()->PackFrom(info);
  if (!field.empty()) {
    google::rpc::BadRequest bad_request;
    bad_request.add_field_violations()->set_field(field);
    status.add_details()->PackFrom(bad_request);
  }
  if (retry_after_ms > 0) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(retry_after_ms / 1000);
    retry.mutable_retry_delay()->set_nanos(retry_after_ms % 1000 * 1'000'000);
    status.add_details()->PackFrom(retry);
  }
  return {code, message, status.SerializeAsString()};
}

class FakeBackend final : public v1::AiBackend::Service {
 public:
  using Stream = grpc::ServerWriter<v1::ChatStreamEvent>;

  FakeBackend() {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~FakeBackend() override { server_->Shutdown(std::chrono::system_clock::now()); }

  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }
  std::shared_ptr<grpc::Channel> channel() {
    return server_->InProcessChannel(grpc::ChannelArguments());
  }
  void SetServing(bool serving) { server_->GetHealthCheckService()->SetServingStatus(serving); }

  // Set before the call that runs it.
  std::function<grpc::Status(grpc::ServerContext*, const v1::ChatRequest&, v1::ChatResponse*)>
      on_chat;
  std::function<grpc::Status(grpc::ServerContext*, const v1::ChatRequest&, Stream*)> on_stream;
  std::function<grpc::Status(const v1::ChatRequest&, v1::CountTokensResponse*)> on_count_tokens;
  std::function<grpc::Status(const v1::AddDocumentsRequest&, v1::AddDocumentsResponse*)> on_add;
  std::function<grpc::Status(const v1::StartJobRequest&, v1::Job*)> on_start_job;
  std::function<grpc::Status(const v1::EmbedRequest&, v1::EmbedResponse*)> on_embed;
  std::function<grpc::Status(v1::ListModelsResponse*)> on_list_models;

  grpc::Status Chat(grpc::ServerContext* context, const v1::ChatRequest* request,
                    v1::ChatResponse* response) override {
    return on_chat ? on_chat(context, *request, response) : grpc::Status::OK;
  }
  grpc::Status ChatStream(grpc::ServerContext* context, const v1::ChatRequest* request,
                          Stream* stream) override {
    return on_stream ? on_stream(context, *request, stream) : grpc::Status::OK;
  }
  grpc::Status CountTokens(grpc::ServerContext*, const v1::ChatRequest* request,
                           v1::CountTokensResponse* response) override {
    return on_count_tokens ? on_count_tokens(*request, response) : grpc::Status::OK;
  }
  grpc::Status AddDocuments(grpc::ServerContext*, const v1::AddDocumentsRequest* request,
                            v1::AddDocumentsResponse* response) override {
    return on_add ? on_add(*request, response) : grpc::Status::OK;
  }
  grpc::Status StartJob(grpc::ServerContext*, const v1::StartJobRequest* request,
                        v1::Job* response) override {
    return on_start_job ? on_start_job(*request, response) : grpc::Status::OK;
  }

  grpc::Status Embed(grpc::ServerContext*, const v1::EmbedRequest* request,
                     v1::EmbedResponse* response) override {
    return on_embed ? on_embed(*request, response) : grpc::Status::OK;
  }
  grpc::Status ListModels(grpc::ServerContext*, const v1::ListModelsRequest*,
                          v1::ListModelsResponse* response) override {
    return on_list_models ? on_list_models(response) : grpc::Status::OK;
  }

  static bool SendDelta(Stream* stream, const std::string& text) {
    v1::ChatStreamEvent event;
    event.set_delta(text);
    return stream->Write(event);
  }
  static bool SendDone(Stream* stream) {
    v1::ChatStreamEvent event;
    event.mutable_done()->set_finish_reason("stop");
    return stream->Write(event);
  }

 private:
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace aibackend::gateway
