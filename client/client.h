// A typed, synchronous client of the AI backend over gRPC.
//
//   auto client = aibackend::client::Client::Connect("127.0.0.1:50051");
//   aibackend::v1::ChatRequest request;
//   request.set_prompt("What is FastAPI?");
//   auto answer = client->ChatStream(request, [](std::string_view delta) { std::cout << delta; });
//   if (!answer.ok()) std::cerr << answer.error().message;
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "aibackend/v1/aibackend.grpc.pb.h"
#include "client/result.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"

namespace aibackend::client {

// The server's own bound on one answer is 10 minutes; no chat is waited for longer.
inline constexpr absl::Duration kChatTimeout = absl::Minutes(10);
// Everything else: adding documents embeds and indexes them before it answers.
inline constexpr absl::Duration kCallTimeout = absl::Minutes(1);
// A stream of uploads may bring hundreds of megabytes, each document of which is read and indexed.
inline constexpr absl::Duration kUploadTimeout = absl::Minutes(30);
// A ledger of some ten million rows, to a reader that writes them to a disk.
inline constexpr absl::Duration kExportTimeout = absl::Minutes(30);
// The largest message that is accepted: a page of documents or a ledger page with long prompts.
// (gRPC's own default, 4 MiB, is less than one stored document may have.)
inline constexpr int kMessageBytesMax = 64 << 20;

// Stops a call from another thread. Cancelled once, it stays so: a later call with it ends at once.
// Thread-safe; one call at a time may use it, and it must outlive that call.
class Cancellation {
 public:
  void Cancel();
  bool cancelled() const;

 private:
  friend class Call;
  void Attach(grpc::ClientContext* context);
  void Detach();

  mutable absl::Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

struct ClientOptions {
  // An API key or a JWT, sent with each call as `authorization: Bearer …`; empty: none is sent. It
  // travels as the channel does: over a network give Client a channel with TLS. A key that isn't
  // printable ASCII is not sent, and fails the call with KEY_INVALID.
  std::string api_key;
};

struct CallOptions {
  // How long the whole call may take. Default: kChatTimeout for chats, kUploadTimeout for uploads,
  // kExportTimeout for exports, kCallTimeout for the rest.
  std::optional<absl::Duration> timeout;
  // Instead of the client's own key, for this call. Empty: the client's.
  std::string api_key;
  // Sent as x-request-id: printable, at most 128 bytes. Empty: the server makes one.
  std::string request_id;
  // Borrowed for the time of the call. May be null.
  Cancellation* cancellation = nullptr;
};

// Thread-safe. Every call blocks its thread until the answer, the error or the deadline is there,
// retries nothing, and throws nothing of its own. A server that can't be reached fails at once
// (reason SERVER_UNREACHABLE). Must outlive its calls.
class Client {
 public:
  // `target` is host:port or unix:/path, without TLS; a name with several addresses is served in
  // turn. Does not wait: the first call connects, and a connection that breaks is made again.
  static std::unique_ptr<Client> Connect(const std::string& target, ClientOptions options = {});

  // Over a channel of one's own (TLS, credentials).
  explicit Client(std::shared_ptr<grpc::Channel> channel, ClientOptions options = {});

  Result<v1::ChatResponse> Chat(const v1::ChatRequest& request, const CallOptions& options = {});

  // `on_delta` sees the answer's pieces in order, on the calling thread; they are valid during the
  // call only. Returns the `done` event, whose `response` is not set. A stream that ends without
  // one has failed: its error's reason is INTERRUPTED.
  Result<v1::ChatResponse> ChatStream(const v1::ChatRequest& request,
                                      const std::function<void(std::string_view)>& on_delta,
                                      const CallOptions& options = {});

  Result<v1::RetrieveResponse> Retrieve(const v1::RetrieveRequest& request,
                                        const CallOptions& options = {});

  Result<v1::AddDocumentsResponse> AddDocuments(const v1::AddDocumentsRequest& request,
                                                const CallOptions& options = {});
  // Sends what `next` puts into its argument, an empty message each time, until it returns false;
  // it is called on this thread when there is room for more, and no more once the server has ended
  // the call. To give up, cancel options.cancellation and return false: the document that was begun
  // is not stored then, those before it are.
  Result<v1::AddDocumentsResponse> UploadDocuments(
      const std::function<bool(v1::UploadDocumentsRequest&)>& next,
      const CallOptions& options = {});
  Result<v1::AddDocumentsResponse> SeedDocuments(const v1::SeedDocumentsRequest& request,
                                                 const CallOptions& options = {});
  Result<v1::ListDocumentsResponse> ListDocuments(const v1::ListDocumentsRequest& request,
                                                  const CallOptions& options = {});
  Result<v1::Document> GetDocument(const v1::GetDocumentRequest& request,
                                   const CallOptions& options = {});
  Result<v1::DeleteDocumentResponse> DeleteDocument(const v1::DeleteDocumentRequest& request,
                                                    const CallOptions& options = {});
  Result<v1::DeleteCollectionResponse> DeleteCollection(const v1::DeleteCollectionRequest& request,
                                                        const CallOptions& options = {});

  Result<v1::ListCollectionsResponse> ListCollections(const v1::ListCollectionsRequest& request,
                                                      const CallOptions& options = {});
  Result<v1::Collection> GetCollection(const v1::GetCollectionRequest& request,
                                       const CallOptions& options = {});

  Result<v1::Job> StartJob(const v1::StartJobRequest& request, const CallOptions& options = {});
  Result<v1::Job> GetJob(const v1::GetJobRequest& request, const CallOptions& options = {});
  Result<v1::ListJobsResponse> ListJobs(const v1::ListJobsRequest& request,
                                        const CallOptions& options = {});

  Result<v1::ListModelsResponse> ListModels(const v1::ListModelsRequest& request,
                                            const CallOptions& options = {});

  // The ledger. The server's aibackend.proto says which scope a key needs for what.
  Result<v1::ListUsageResponse> ListUsage(const v1::ListUsageRequest& request,
                                          const CallOptions& options = {});
  // `on_piece` sees the body's pieces in order, on the calling thread; they are valid during the
  // call only, and may end within a line or a character. False from it ends the call: CANCELLED.
  // Returns the body's content type. What came before an error is not the whole body.
  Result<std::string> ExportUsage(const v1::ExportUsageRequest& request,
                                  const std::function<bool(std::string_view)>& on_piece,
                                  const CallOptions& options = {});
  Result<v1::UsageSummary> SummarizeUsage(const v1::SummarizeUsageRequest& request,
                                          const CallOptions& options = {});
  Result<v1::RequestView> GetRequest(const v1::GetRequestRequest& request,
                                     const CallOptions& options = {});

  // The key in the answer of CreateKey and RotateKey is told once: an answer that is lost leaves a
  // key that nobody knows, to be revoked by its id.
  Result<v1::CreateKeyResponse> CreateKey(const v1::CreateKeyRequest& request,
                                          const CallOptions& options = {});
  Result<v1::ListKeysResponse> ListKeys(const v1::ListKeysRequest& request,
                                        const CallOptions& options = {});
  Result<v1::ApiKey> GetKey(const v1::GetKeyRequest& request, const CallOptions& options = {});
  Result<v1::ApiKey> UpdateKey(const v1::UpdateKeyRequest& request,
                               const CallOptions& options = {});
  Result<v1::CreateKeyResponse> RotateKey(const v1::RotateKeyRequest& request,
                                          const CallOptions& options = {});
  Result<v1::RevokeKeyResponse> RevokeKey(const v1::RevokeKeyRequest& request,
                                          const CallOptions& options = {});

  Result<v1::SubjectLimits> SetLimits(const v1::SubjectLimits& request,
                                      const CallOptions& options = {});
  Result<v1::ListLimitsResponse> ListLimits(const v1::ListLimitsRequest& request,
                                            const CallOptions& options = {});
  Result<v1::Quota> GetQuota(const v1::GetQuotaRequest& request, const CallOptions& options = {});

  Result<v1::Price> SetPrice(const v1::SetPriceRequest& request, const CallOptions& options = {});
  Result<v1::ListPricesResponse> ListPrices(const v1::ListPricesRequest& request,
                                            const CallOptions& options = {});

  // grpc.health.v1.Health/Check of `service`, empty for the server as a whole. True: SERVING.
  Result<bool> Health(const std::string& service = {}, const CallOptions& options = {});

 private:
  const std::shared_ptr<grpc::Channel> channel_;
  const std::string api_key_;
  const std::unique_ptr<v1::AiBackend::Stub> stub_;
  const std::unique_ptr<v1::AiBackendAdmin::Stub> admin_;
};

}  // namespace aibackend::client
