#include "client/client.h"

#include <utility>

#include "client/call.h"
#include "client/health.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"

namespace aibackend::client {
namespace {

template <class Stub, class Request, class Response>
Result<Response> Unary(Stub& stub,
                       grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                    Response*),
                       const Request& request, const CallOptions& options,
                       absl::Duration timeout_default = kCallTimeout) {
  Call call(options, timeout_default);
  Response response;
  const grpc::Status status = (stub.*method)(call.context(), request, &response);
  if (!status.ok()) return call.Error(status);
  return response;
}

}  // namespace

void Cancellation::Cancel() {
  absl::MutexLock lock(&mutex_);
  cancelled_ = true;
  if (context_ != nullptr) context_->TryCancel();
}

bool Cancellation::cancelled() const {
  absl::MutexLock lock(&mutex_);
  return cancelled_;
}

void Cancellation::Attach(grpc::ClientContext* context) {
  absl::MutexLock lock(&mutex_);
  context_ = context;
  if (cancelled_) context_->TryCancel();  // before the call starts: it then ends as it starts
}

void Cancellation::Detach() {
  absl::MutexLock lock(&mutex_);
  context_ = nullptr;
}

std::unique_ptr<Client> Client::Connect(const std::string& target) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMessageBytesMax);
  arguments.SetLoadBalancingPolicyName("round_robin");
  // The backend is a neighbour: http_proxy is meant for the web, and most proxies refuse HTTP/2.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return std::make_unique<Client>(
      grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments));
}

Client::Client(std::shared_ptr<grpc::Channel> channel)
    : channel_(std::move(channel)),
      stub_(v1::AiBackend::NewStub(channel_)),
      admin_(v1::AiBackendAdmin::NewStub(channel_)) {}

Result<v1::ChatResponse> Client::Chat(const v1::ChatRequest& request, const CallOptions& options) {
  return Unary(*stub_, &v1::AiBackend::Stub::Chat, request, options, kChatTimeout);
}

Result<v1::ChatResponse> Client::ChatStream(const v1::ChatRequest& request,
                                            const std::function<void(std::string_view)>& on_delta,
                                            const CallOptions& options) {
  Call call(options, kChatTimeout);
  const auto reader = stub_->ChatStream(call.context(), request);
  std::optional<v1::ChatResponse> done;
  v1::ChatStreamEvent event;
  while (reader->Read(&event)) {
    if (event.has_delta()) on_delta(event.delta());
    if (event.has_done()) done = std::move(*event.mutable_done());
  }
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return call.Error(status);
  if (done) return *std::move(done);
  ClientError error;
  error.code = CodeName(grpc::StatusCode::UNAVAILABLE);
  error.reason = v1::Error::Reason_Name(v1::Error::INTERRUPTED);
  error.message = "the stream ended before the answer was complete";
  error.request_id = options.request_id;
  return error;
}

Result<v1::RetrieveResponse> Client::Retrieve(const v1::RetrieveRequest& request,
                                              const CallOptions& options) {
  return Unary(*stub_, &v1::AiBackend::Stub::Retrieve, request, options);
}

Result<v1::AddDocumentsResponse> Client::AddDocuments(const v1::AddDocumentsRequest& request,
                                                      const CallOptions& options) {
  return Unary(*stub_, &v1::AiBackend::Stub::AddDocuments, request, options);
}

Result<v1::AddDocumentsResponse> Client::UploadDocuments(
    const std::function<bool(v1::UploadDocumentsRequest&)>& next, const CallOptions& options) {
  Call call(options, kUploadTimeout);
  v1::AddDocumentsResponse response;
  const auto writer = stub_->UploadDocuments(call.context(), &response);
  bool open = true;
  for (v1::UploadDocumentsRequest message; open && next(message); message.Clear()) {
    open = writer->Write(message);
  }
  if (open) writer->WritesDone();
  const grpc::Status status = writer->Finish();
  if (!status.ok()) return call.Error(status);
  return response;
}

Result<v1::AddDocumentsResponse> Client::SeedDocuments(const v1::SeedDocumentsRequest& request,
                                                       const CallOptions& options) {
  return Unary(*stub_, &v1::AiBackend::Stub::SeedDocuments, request, options);
}

Result<v1::ListDocumentsResponse> Client::ListDocuments(const v1::ListDocumentsRequest& request,
                                                        const CallOptions& options) {
  return Unary(*stub_, &v1::AiBackend::Stub::ListDocuments, request, options);
}

Result<v1::Document> Client::GetDocument(const v1::GetDocumentRequest& request,
                                         const CallOptions& options) {
  return Unary(*stub_, &v1::AiBackend::Stub::GetDocument, request, options);
}

Result<v1::DeleteDocumentResponse> Client::DeleteDocument(const v1::DeleteDocumentRequest& request,
                                                          const CallOptions& options) {
  return Unary(*stub_, &v1::AiBackend::Stub::DeleteDocument, request, options);
}

Result<v1::ListCollectionsResponse> Client::ListCollections(
    const v1::ListCollectionsRequest& request, const CallOptions& options) {
  return Unary(*stub_, &v1::AiBackend::Stub::ListCollections, request, options);
}

Result<v1::Collection> Client::GetCollection(const v1::GetCollectionRequest& request,
                                             const CallOptions& options) {
  return Unary(*stub_, &v1::AiBackend::Stub::GetCollection, request, options);
}

Result<v1::DeleteCollectionResponse> Client::DeleteCollection(
    const v1::DeleteCollectionRequest& request, const CallOptions& options) {
  return Unary(*stub_, &v1::AiBackend::Stub::DeleteCollection, request, options);
}

Result<v1::Job> Client::StartJob(const v1::StartJobRequest& request, const CallOptions& options) {
  return Unary(*stub_, &v1::AiBackend::Stub::StartJob, request, options);
}

Result<v1::Job> Client::GetJob(const v1::GetJobRequest& request, const CallOptions& options) {
  return Unary(*stub_, &v1::AiBackend::Stub::GetJob, request, options);
}

Result<v1::ListJobsResponse> Client::ListJobs(const v1::ListJobsRequest& request,
                                              const CallOptions& options) {
  return Unary(*stub_, &v1::AiBackend::Stub::ListJobs, request, options);
}

Result<v1::ListModelsResponse> Client::ListModels(const v1::ListModelsRequest& request,
                                                  const CallOptions& options) {
  return Unary(*stub_, &v1::AiBackend::Stub::ListModels, request, options);
}

Result<v1::ListUsageResponse> Client::ListUsage(const v1::ListUsageRequest& request,
                                                const CallOptions& options) {
  return Unary(*admin_, &v1::AiBackendAdmin::Stub::ListUsage, request, options);
}

Result<bool> Client::Health(const std::string& service, const CallOptions& options) {
  Call call(options, kCallTimeout);
  bool serving = false;
  const grpc::Status status = CheckHealth(channel_, service, call.context(), serving);
  if (!status.ok()) return call.Error(status);
  return serving;
}

}  // namespace aibackend::client
