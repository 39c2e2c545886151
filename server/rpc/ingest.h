// The documents of a request, files turned into their texts.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "aibackend/v1/documents.pb.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "server/retrieval/document_store.h"

namespace aibackend::rpc {

// What became of one document of the request.
struct Ingested {
  absl::Status status;                               // why there is nothing to store
  std::vector<retrieval::StoredDocument> documents;  // a file of records is several
};

// Blocks: reading a file may take seconds, and at most kFilesReadMax of all calls together do so at
// once. Errors name `field`, such as "documents[3]", or a field of it.
Ingested IngestOne(const v1::Document& document, const std::string& field);

// One element a document, in their order.
std::vector<Ingested> Ingest(const google::protobuf::RepeatedPtrField<v1::Document>& documents);

// Stores what could be read, all or none, and adds a row for each document, in their order: FAILED
// for what couldn't. Blocks on the database. Errors: those of DocumentStore::Add.
absl::Status StoreIngested(retrieval::DocumentStore& store,
                           const retrieval::CollectionId& collection,
                           std::vector<Ingested> ingested, v1::AddDocumentsResponse* response);

inline constexpr int kFilesReadMax = 2;  // each may take the 768 MiB of ExtractLimits

}  // namespace aibackend::rpc
