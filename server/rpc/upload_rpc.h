// UploadDocuments: documents of any size and number, in one stream.
#pragma once

#include "aibackend/v1/aibackend.grpc.pb.h"
#include "server/rpc/core.h"

namespace aibackend::rpc {

// Reads and stores each document when it is whole, on the executor, small ones together. The next
// message is read when there is room for it: besides what is being stored no more than one document
// is kept.
//
// A document that can't be read, is too large or is not valid is FAILED, and the others go on:
// where AddDocuments refuses a call of which nothing can be stored, an upload answers OK with its
// rows, as the caller can't send less than the rest of the stream. Only what would fail for every
// document ends the call: the collection's name, the order of the messages, the database. What was
// whole by then is stored, as it is when the client leaves.
grpc::ServerReadReactor<v1::UploadDocumentsRequest>* StartUpload(
    Core& core, grpc::CallbackServerContext& context, v1::AddDocumentsResponse* response);

}  // namespace aibackend::rpc
