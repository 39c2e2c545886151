// Retrieve, and the documents it searches.
#pragma once

#include "aibackend/v1/aibackend.grpc.pb.h"
#include "server/rpc/core.h"

namespace aibackend::rpc {

grpc::ServerUnaryReactor* Retrieve(Core& core, grpc::CallbackServerContext& context,
                                   const v1::RetrieveRequest& request,
                                   v1::RetrieveResponse* response);
grpc::ServerUnaryReactor* AddDocuments(Core& core, grpc::CallbackServerContext& context,
                                       const v1::AddDocumentsRequest& request,
                                       v1::AddDocumentsResponse* response);
grpc::ServerUnaryReactor* SeedDocuments(Core& core, grpc::CallbackServerContext& context,
                                        const v1::SeedDocumentsRequest& request,
                                        v1::AddDocumentsResponse* response);
grpc::ServerUnaryReactor* ListDocuments(Core& core, grpc::CallbackServerContext& context,
                                        const v1::ListDocumentsRequest& request,
                                        v1::ListDocumentsResponse* response);
grpc::ServerUnaryReactor* GetDocument(Core& core, grpc::CallbackServerContext& context,
                                      const v1::GetDocumentRequest& request,
                                      v1::Document* response);
grpc::ServerUnaryReactor* DeleteDocument(Core& core, grpc::CallbackServerContext& context,
                                         const v1::DeleteDocumentRequest& request,
                                         v1::DeleteDocumentResponse* response);
grpc::ServerUnaryReactor* ListCollections(Core& core, grpc::CallbackServerContext& context,
                                          const v1::ListCollectionsRequest& request,
                                          v1::ListCollectionsResponse* response);
grpc::ServerUnaryReactor* GetCollection(Core& core, grpc::CallbackServerContext& context,
                                        const v1::GetCollectionRequest& request,
                                        v1::Collection* response);
grpc::ServerUnaryReactor* DeleteCollection(Core& core, grpc::CallbackServerContext& context,
                                           const v1::DeleteCollectionRequest& request,
                                           v1::DeleteCollectionResponse* response);

}  // namespace aibackend::rpc
