#include "client/client.h"

#include <utility>

#include "client/call.h"
#include "client/health.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"

namespace aibackend::client {

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

std::unique_ptr<Client> Client::Connect(const std::string& target, ClientOptions options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMessageBytesMax);
  arguments.SetLoadBalancingPolicyName("round_robin");
  // The backend is a neighbour: http_proxy is meant for the web, and most proxies refuse HTTP/2.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return std::make_unique<Client>(
      grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments),
      std::move(options));
}

Client::Client(std::shared_ptr<grpc::Channel> channel, ClientOptions options)
    : channel_(std::move(channel)),
      api_key_(std::move(options.api_key)),
      stub_(v1::AiBackend::NewStub(channel_)),
      admin_(v1::AiBackendAdmin::NewStub(channel_)) {}

Result<v1::ChatResponse> Client::Chat(const v1::ChatRequest& request, const CallOptions& options) {
  return Unary(*stub_, &v1::AiBackend::Stub::Chat, request, api_key_, options, kChatTimeout);
}

Result<v1::ChatResponse> Client::ChatStream(const v1::ChatRequest& request,
                                            const std::function<void(std::string_view)>& on_delta,
                                            const CallOptions& options) {
  Call call(api_key_, options, kChatTimeout);
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
  return MakeClientError(grpc::StatusCode::UNAVAILABLE, v1::Error::INTERRUPTED,
                         "the stream ended before the answer was complete", options.request_id);
}

Result<v1::RetrieveResponse> Client::Retrieve(const v1::RetrieveRequest& request,
                                              const CallOptions& options) {
  return Unary(*stub_, &v1::AiBackend::Stub::Retrieve, request, api_key_, options);
}

Result<v1::AddDocumentsResponse> Client::AddDocuments(const v1::AddDocumentsRequest& request,
                                                      const CallOptions& options) {
  return Unary(*stub_, &v1::AiBackend::Stub::AddDocuments, request, api_key_, options);
}

Result<v1::AddDocumentsResponse> Client::UploadDocuments(
    const std::function<bool(v1::UploadDocumentsRequest&)>& next, const CallOptions& options) {
  Call call(api_key_, options, kUploadTimeout);
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
  return Unary(*stub_, &v1::AiBackend::Stub::SeedDocuments, request, api_key_, options);
}

Result<v1::ListDocumentsResponse> Client::ListDocuments(const v1::ListDocumentsRequest& request,
                                                        const CallOptions& options) {
  return Unary(*stub_, &v1::AiBackend::Stub::ListDocuments, request, api_key_, options);
}

Result<v1::Document> Client::GetDocument(const v1::GetDocumentRequest& request,
                                         const CallOptions& options) {
  return Unary(*stub_, &v1::AiBackend::Stub::GetDocument, request, api_key_, options);
}

Result<v1::DeleteDocumentResponse> Client::DeleteDocument(const v1::DeleteDocumentRequest& request,
                                                          const CallOptions& options) {
  return Unary(*stub_, &v1::AiBackend::Stub::DeleteDocument, request, api_key_, options);
}

Result<v1::ListCollectionsResponse> Client::ListCollections(
    const v1::ListCollectionsRequest& request, const CallOptions& options) {
  return Unary(*stub_, &v1::AiBackend::Stub::ListCollections, request, api_key_, options);
}

Result<v1::Collection> Client::GetCollection(const v1::GetCollectionRequest& request,
                                             const CallOptions& options) {
  return Unary(*stub_, &v1::AiBackend::Stub::GetCollection, request, api_key_, options);
}

Result<v1::DeleteCollectionResponse> Client::DeleteCollection(
    const v1::DeleteCollectionRequest& request, const CallOptions& options) {
  return Unary(*stub_, &v1::AiBackend::Stub::DeleteCollection, request, api_key_, options);
}

Result<v1::Job> Client::StartJob(const v1::StartJobRequest& request, const CallOptions& options) {
  return Unary(*stub_, &v1::AiBackend::Stub::StartJob, request, api_key_, options);
}

Result<v1::Job> Client::GetJob(const v1::GetJobRequest& request, const CallOptions& options) {
  return Unary(*stub_, &v1::AiBackend::Stub::GetJob, request, api_key_, options);
}

Result<v1::ListJobsResponse> Client::ListJobs(const v1::ListJobsRequest& request,
                                              const CallOptions& options) {
  return Unary(*stub_, &v1::AiBackend::Stub::ListJobs, request, api_key_, options);
}

Result<v1::ListModelsResponse> Client::ListModels(const v1::ListModelsRequest& request,
                                                  const CallOptions& options) {
  return Unary(*stub_, &v1::AiBackend::Stub::ListModels, request, api_key_, options);
}

Result<bool> Client::Health(const std::string& service, const CallOptions& options) {
  Call call(api_key_, options, kCallTimeout);
  bool serving = false;
  const grpc::Status status = CheckHealth(channel_, service, call.context(), serving);
  if (!status.ok()) return call.Error(status);
  return serving;
}

}  // namespace aibackend::client
