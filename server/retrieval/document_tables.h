// The tables documents, chunks and index_generations. Each function is part of a caller's
// transaction.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/retrieval/document.h"
#include "server/retrieval/document_store.h"
#include "server/storage/database.h"

namespace aibackend::retrieval {

// Stores a document and its chunks; returns the seq it got (`document.seq` is not read).
absl::StatusOr<int64_t> InsertDocument(storage::Session& session, const CollectionId& collection,
                                       const Document& document);

// Removes a document and its chunks.
absl::Status DeleteDocument(storage::Session& session, int64_t seq);

// Stores where a document is cut now.
absl::Status ReplaceChunks(storage::Session& session, const Document& document);

// Those that hold documents, and those that did and have a generation.
absl::StatusOr<std::vector<CollectionId>> ReadCollections(storage::Session& session);

// Documents after `after_seq`, with their chunks, in the order of arrival. Chunks that don't fit
// the text (another program wrote there) are cut anew.
absl::StatusOr<std::vector<Document>> ReadDocuments(storage::Session& session,
                                                    const CollectionId& collection,
                                                    int64_t after_seq, int64_t limit);

absl::StatusOr<std::vector<int64_t>> ReadSeqs(storage::Session& session,
                                              const CollectionId& collection);

// DOCUMENT_NOT_FOUND where there is none.
absl::StatusOr<StoredDocument> ReadDocument(storage::Session& session,
                                            const CollectionId& collection, const std::string& id);

// Without text, newest first, those before `before_seq`; of all the tenant's collections where the
// name is empty. `on_document` gets the seq too.
absl::Status ListDocuments(storage::Session& session, const CollectionId& collection,
                           int64_t before_seq, int64_t limit,
                           absl::FunctionRef<void(int64_t seq, StoredDocument)> on_document);

// A tenant's collections by name, those after `after`; only what the tables know is set.
absl::StatusOr<std::vector<CollectionInfo>> ReadCollectionInfos(storage::Session& session,
                                                                const std::string& tenant,
                                                                const std::string& after,
                                                                int64_t limit);

// The same of one. COLLECTION_NOT_FOUND where it holds nothing.
absl::StatusOr<CollectionInfo> ReadCollectionInfo(storage::Session& session,
                                                  const CollectionId& collection);
absl::Status NoSuchCollection();

// Sets `serving` and `former` of a collection.
absl::Status FillGenerations(storage::Session& session, CollectionInfo& info);

// Removes all its documents and generations; returns how many documents.
absl::StatusOr<int64_t> DeleteCollection(storage::Session& session, const CollectionId& collection);

// A generation as it is stored.
struct Generation {
  GenerationInfo info;
  int64_t fitted_chunks = 0;
  std::string order_id;  // see RebuildRequest
};

// Newest first: the first serves.
absl::StatusOr<std::vector<Generation>> ReadGenerations(storage::Session& session,
                                                        const CollectionId& collection);
// Stores one, in the place of one with its number, and forgets those that are too old to go back
// to.
absl::Status WriteGeneration(storage::Session& session, const CollectionId& collection,
                             const Generation& generation);

}  // namespace aibackend::retrieval
