#include "server/rpc/upload_rpc.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/retrieval/document_validation.h"
#include "server/rpc/call.h"
#include "server/rpc/convert.h"
#include "server/rpc/ingest.h"
#include "server/rpc/upload_assembly.h"

namespace aibackend::rpc {
namespace {

Ingested Read(const UploadedDocument& uploaded) {
  const std::string field = absl::StrCat("documents[", uploaded.ordinal, "]");
  Ingested one;
  one.status = uploaded.status;
  if (one.status.ok()) one = IngestOne(uploaded.document, field);
  for (const auto& document : one.documents) {
    if (one.status.ok()) one.status = retrieval::ValidateDocument(document, field);
  }
  if (!one.status.ok()) one.documents.clear();
  return one;
}

// At any time either a read, the probe of OnReadDone or a task of the executor is under way, and
// that one alone touches the members: there is no lock.
class UploadCall final : public grpc::ServerReadReactor<v1::UploadDocumentsRequest> {
 public:
  UploadCall(Core& core, grpc::CallbackServerContext& context, v1::AddDocumentsResponse* response)
      : core_(core),
        context_(context),
        call_(core, context, "UploadDocuments"),
        response_(response) {}

  void Start() {
    if (!call_.admission().ok()) return End(call_.admission());
    call_.Record("");
    StartRead(&message_);
  }

  // A stream that broke reads like one that ended, and half a document must not be taken for a
  // whole one. What is sent on a stream that broke fails: the headers, due anyway, tell them apart.
  // At their deadline some clients (grpc-js) end the stream before they reset it: an end that comes
  // then is none.
  void OnReadDone(bool ok) override {
    if (!ok) return StartSendInitialMetadata();
    const absl::Status taken = assembly_.Take(std::exchange(message_, {}));
    if (!taken.ok()) return StoreAndEnd(taken);
    if (assembly_.IsGroupFull()) return Store();
    StartRead(&message_);
  }

  void OnSendInitialMetadataDone(bool ok) override {
    const bool is_broken = !ok || context_.IsCancelled() || call_.IsDeadlineReached();
    StoreAndEnd(is_broken ? MakeError(Reason::CANCELLED, "the client left") : assembly_.End());
  }

  void OnDone() override { delete this; }

 private:
  void StoreAndEnd(absl::Status end) {
    if (!assembly_.HasGroup()) return End(end);
    end_ = std::move(end);
    Store();
  }

  // Goes on by reading, or ends the call.
  void Store() {
    const bool queued = core_.executor.TrySubmit([this] {
      const absl::Status stored = StoreGroup();
      if (!stored.ok()) return End(stored);
      if (end_) return End(*end_);
      StartRead(&message_);
    });
    if (queued) return;
    End(WithRetryAfter(MakeError(Reason::OVERLOADED, "too many calls are waiting"),
                       absl::Seconds(1)));
  }

  // Files may hold far more text than they have bytes, so that a group can become several batches.
  absl::Status StoreGroup() {
    std::vector<Ingested> batch;
    size_t documents = 0;
    size_t bytes = 0;
    for (const UploadedDocument& uploaded : assembly_.TakeGroup()) {
      Ingested one = Read(uploaded);
      rows_ += one.status.ok() ? one.documents.size() : 1;
      if (rows_ > kUploadDocumentsMax) {
        AIB_RETURN_IF_ERROR(StoreBatch(std::move(batch)));
        return MakeError(Reason::FIELD_OUT_OF_RANGE,
                         absl::StrCat("the files hold more than the ", kUploadDocumentsMax,
                                      " documents that an upload takes; more go in another"),
                         absl::StrCat("documents[", uploaded.ordinal, "].content"));
      }
      documents += one.documents.size();
      for (const auto& document : one.documents) bytes += document.text.size();
      batch.push_back(std::move(one));
      if (documents < kUploadGroupDocumentsMax && bytes < kUploadGroupBytesMax) continue;
      AIB_RETURN_IF_ERROR(StoreBatch(std::exchange(batch, {})));
      documents = bytes = 0;
    }
    return StoreBatch(std::move(batch));
  }

  absl::Status StoreBatch(std::vector<Ingested> batch) {
    if (batch.empty()) return absl::OkStatus();
    return StoreIngested(core_.documents, CollectionOf(assembly_.collection(), call_.tenant()),
                         std::move(batch), response_);
  }

  void End(const absl::Status& status) { Finish(call_.Finish(status)); }

  Core& core_;
  const grpc::CallbackServerContext& context_;
  Call call_;
  v1::AddDocumentsResponse* const response_;
  v1::UploadDocumentsRequest message_;  // being read
  UploadAssembly assembly_;
  std::optional<absl::Status> end_;  // how the call ends once the group is stored
  size_t rows_ = 0;
};

}  // namespace

grpc::ServerReadReactor<v1::UploadDocumentsRequest>* StartUpload(
    Core& core, grpc::CallbackServerContext& context, v1::AddDocumentsResponse* response) {
  auto* call = new UploadCall(core, context, response);
  call->Start();
  return call;
}

}  // namespace aibackend::rpc
