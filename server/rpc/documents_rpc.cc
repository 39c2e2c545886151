#include "server/rpc/documents_rpc.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/rpc/call.h"
#include "server/rpc/convert.h"
#include "server/rpc/ingest.h"
#include "server/tasks/sample_documents.h"

namespace aibackend::rpc {
namespace {

constexpr size_t kDocumentsMax = 1000;  // a call; more belong in an index_documents job

// Stores what could be read. All of a call's files unreadable: the first one's error.
absl::Status Add(Core& core, const Call& call, const v1::AddDocumentsRequest& request,
                 v1::AddDocumentsResponse* response) {
  std::vector<Ingested> ingested = Ingest(request.documents());
  size_t documents = 0;
  const absl::Status* failure = nullptr;
  for (const Ingested& one : ingested) {
    if (!one.status.ok() && failure == nullptr) failure = &one.status;
    documents += one.documents.size();
  }
  if (documents == 0 && failure != nullptr) return *failure;
  if (documents > kDocumentsMax) {
    return MakeError(Reason::FIELD_OUT_OF_RANGE,
                     absl::StrCat("the files hold ", documents, " documents; at most ",
                                  kDocumentsMax, " are taken in one call"),
                     "documents");
  }
  return StoreIngested(core.documents, CollectionOf(request.collection(), call.tenant()),
                       std::move(ingested), response);
}

}  // namespace

grpc::ServerUnaryReactor* Retrieve(Core& core, grpc::CallbackServerContext& context,
                                   const v1::RetrieveRequest& request,
                                   v1::RetrieveResponse* response) {
  return (new BlockingCall(core, context, "Retrieve"))
      ->Record(request.query())
      ->Run([&core, &request, response](Call& call) {
        AIB_ASSIGN_OR_RETURN(const auto query, ToQuery(request, call.tenant()));
        AIB_ASSIGN_OR_RETURN(const auto found, core.documents.Retrieve(query));
        Fill(found, response);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* AddDocuments(Core& core, grpc::CallbackServerContext& context,
                                       const v1::AddDocumentsRequest& request,
                                       v1::AddDocumentsResponse* response) {
  return (new BlockingCall(core, context, "AddDocuments"))
      ->Record("")
      ->Run([&core, &request, response](Call& call) {
        if (request.documents_size() == 0) {
          return MakeError(Reason::FIELD_REQUIRED, "documents must hold at least one document",
                           "documents");
        }
        if (static_cast<size_t>(request.documents_size()) > kDocumentsMax) {
          return MakeError(
              Reason::FIELD_OUT_OF_RANGE,
              absl::StrCat("documents holds ", request.documents_size(), " documents; at most ",
                           kDocumentsMax, " are taken; more go as an index_documents job"),
              "documents");
        }
        return Add(core, call, request, response);
      });
}

grpc::ServerUnaryReactor* SeedDocuments(Core& core, grpc::CallbackServerContext& context,
                                        const v1::SeedDocumentsRequest& request,
                                        v1::AddDocumentsResponse* response) {
  return (new BlockingCall(core, context, "SeedDocuments"))
      ->Record("")
      ->Run([&core, &request, response](Call& call) {
        AIB_ASSIGN_OR_RETURN(const auto added,
                             core.documents.Add(CollectionOf(request.collection(), call.tenant()),
                                                tasks::SampleDocuments()));
        for (const auto& document : added) Fill(document, response->add_documents());
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* ListDocuments(Core& core, grpc::CallbackServerContext& context,
                                        const v1::ListDocumentsRequest& request,
                                        v1::ListDocumentsResponse* response) {
  return (new BlockingCall(core, context, "ListDocuments"))
      ->Run([&core, &request, response](Call& call) {
        AIB_ASSIGN_OR_RETURN(const int page_size, PageSizeOf(request));
        AIB_ASSIGN_OR_RETURN(const auto page,
                             core.documents.List({request.collection(), call.tenant()}, page_size,
                                                 request.page_token()));
        for (const auto& document : page.documents) Fill(document, response->add_documents());
        response->set_next_page_token(page.next_page_token);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* GetDocument(Core& core, grpc::CallbackServerContext& context,
                                      const v1::GetDocumentRequest& request,
                                      v1::Document* response) {
  return (new BlockingCall(core, context, "GetDocument"))
      ->Run([&core, &request, response](Call& call) {
        AIB_ASSIGN_OR_RETURN(
            const auto document,
            core.documents.Get(CollectionOf(request.collection(), call.tenant()), request.id()));
        Fill(document, response);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* DeleteDocument(Core& core, grpc::CallbackServerContext& context,
                                         const v1::DeleteDocumentRequest& request,
                                         v1::DeleteDocumentResponse*) {
  return (new BlockingCall(core, context, "DeleteDocument"))
      ->Record(request.id())
      ->Run([&core, &request](Call& call) {
        return core.documents.Delete(CollectionOf(request.collection(), call.tenant()),
                                     request.id());
      });
}

grpc::ServerUnaryReactor* ListCollections(Core& core, grpc::CallbackServerContext& context,
                                          const v1::ListCollectionsRequest& request,
                                          v1::ListCollectionsResponse* response) {
  return (new BlockingCall(core, context, "ListCollections"))
      ->Run([&core, &request, response](Call& call) {
        AIB_ASSIGN_OR_RETURN(const int page_size, PageSizeOf(request));
        AIB_ASSIGN_OR_RETURN(const auto page, core.documents.ListCollections(
                                                  call.tenant(), page_size, request.page_token()));
        for (const auto& info : page.collections) Fill(info, response->add_collections());
        response->set_next_page_token(page.next_page_token);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* GetCollection(Core& core, grpc::CallbackServerContext& context,
                                        const v1::GetCollectionRequest& request,
                                        v1::Collection* response) {
  return (new BlockingCall(core, context, "GetCollection"))
      ->Run([&core, &request, response](Call& call) {
        AIB_ASSIGN_OR_RETURN(const auto info, core.documents.GetCollection(CollectionOf(
                                                  request.collection(), call.tenant())));
        Fill(info, response);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* DeleteCollection(Core& core, grpc::CallbackServerContext& context,
                                           const v1::DeleteCollectionRequest& request,
                                           v1::DeleteCollectionResponse* response) {
  return (new BlockingCall(core, context, "DeleteCollection"))
      ->Record(request.collection())
      ->Run([&core, &request, response](Call& call) {
        AIB_ASSIGN_OR_RETURN(const int64_t deleted, core.documents.DeleteCollection(CollectionOf(
                                                        request.collection(), call.tenant())));
        response->set_documents(deleted);
        return absl::OkStatus();
      });
}

}  // namespace aibackend::rpc
