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
absl::StatusOr<int64_t> InsertDocument(storage::Session& session, const std::string& collection,
                                       const Document& document);

// Removes a document and its chunks.
absl::Status DeleteDocument(storage::Session& session, int64_t seq);

// Stores where a document is cut now.
absl::Status ReplaceChunks(storage::Session& session, const Document& document);

absl::StatusOr<std::vector<std::string>> ReadCollections(storage::Session& session);

// Documents after `after_seq`, with their chunks, in the order of arrival. Chunks that don't fit
// the text (another program wrote there) are cut anew.
absl::StatusOr<std::vector<Document>> ReadDocuments(storage::Session& session,
                                                    const std::string& collection,
                                                    int64_t after_seq, int64_t limit);

absl::StatusOr<std::vector<int64_t>> ReadSeqs(storage::Session& session,
                                              const std::string& collection);

// DOCUMENT_NOT_FOUND where there is none.
absl::StatusOr<StoredDocument> ReadDocument(storage::Session& session,
                                            const std::string& collection, const std::string& id);

// Without text, newest first, those before `before_seq`; `on_document` gets the seq too.
absl::Status ListDocuments(storage::Session& session, const std::string& collection,
                           int64_t before_seq, int64_t limit,
                           absl::FunctionRef<void(int64_t seq, StoredDocument)> on_document);

// Which fitted embedding a collection is at.
struct Generation {
  int number = 0;  // 0: none was stored
  int64_t fitted_chunks = 0;
};
absl::StatusOr<Generation> ReadGeneration(storage::Session& session, const std::string& collection);
absl::Status WriteGeneration(storage::Session& session, const std::string& collection,
                             const Generation& generation, absl::Time now);

}  // namespace aibackend::retrieval
