// The stored documents and, kept in step with them, the index that searches them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/retrieval/leg_set.h"
#include "server/retrieval/retriever.h"
#include "server/storage/database.h"

namespace aibackend::retrieval {

struct StoredDocument {
  std::string id;  // empty on adding: made from the content
  std::string collection;
  std::string title;
  std::string text;  // empty in lists
  std::string source;
  std::string metadata;  // JSON object, or empty
  int chunks = 0;
  absl::Time created_at;
};

enum class AddStatus { kAdded, kUpdated, kUnchanged };

struct AddedDocument {
  std::string id;
  int chunks = 0;
  AddStatus status = AddStatus::kAdded;
};

struct DocumentPage {
  std::vector<StoredDocument> documents;  // without text, newest first
  std::string next_page_token;
};

// A generation of a collection's index.
struct GenerationInfo {
  int number = 0;  // 0: none, nothing is fitted
  std::string embedder;
  int dimensions = 0;
  absl::Time created_at;
};

struct CollectionInfo {
  CollectionId id;
  int64_t documents = 0;
  int64_t chunks = 0;
  int64_t unembedded_chunks = 0;  // the dense leg doesn't know them yet
  GenerationInfo serving;
  std::vector<GenerationInfo> former;  // newest first, at most kFormerGenerationsMax
};

inline constexpr size_t kFormerGenerationsMax = 8;

struct CollectionPage {
  std::vector<CollectionInfo> collections;  // by name
  std::string next_page_token;
};

struct RebuildResult {
  int64_t documents = 0;
  int64_t chunks = 0;
  int generation = 0;
};

struct StoreOptions {
  LegSet legs;  // what hybrid and lexical searches sum up
  // Where snapshots of the indexes are kept, so that a start is quick; empty: none are.
  std::string snapshot_dir;
};

// Thread-safe; calls block on the database. One writer at a time changes a collection; searches go
// on meanwhile.
class DocumentStore : public Retriever {
 public:
  // Loads every collection from the database, and its index from the snapshot where that is of any
  // use; else fits its embedding. Blocks until searches can be served.
  static absl::StatusOr<std::unique_ptr<DocumentStore>> Open(storage::Database& database,
                                                             Clock& clock,
                                                             const StoreOptions& options = {});

  // Stores and indexes the documents of one call, all or none. Errors name "documents[i].field".
  virtual absl::StatusOr<std::vector<AddedDocument>> Add(const CollectionId& collection,
                                                         std::vector<StoredDocument> documents) = 0;
  virtual absl::StatusOr<StoredDocument> Get(const CollectionId& collection,
                                             const std::string& id) = 0;
  virtual absl::Status Delete(const CollectionId& collection, const std::string& id) = 0;
  // `collection.name` empty: all of the tenant's.
  virtual absl::StatusOr<DocumentPage> List(const CollectionId& collection, int page_size,
                                            const std::string& page_token) = 0;

  // A collection is there while it holds a document.
  virtual absl::StatusOr<CollectionPage> ListCollections(const std::string& tenant, int page_size,
                                                         const std::string& page_token) = 0;
  // Errors: COLLECTION_NOT_FOUND.
  virtual absl::StatusOr<CollectionInfo> GetCollection(const CollectionId& collection) = 0;
  // Removes all its documents and generations; returns how many documents. Errors:
  // COLLECTION_NOT_FOUND.
  virtual absl::StatusOr<int64_t> DeleteCollection(const CollectionId& collection) = 0;

  // Cuts every document of the collection again, fits a new embedding beside the old one and swaps
  // it in: the next generation. `progress(done, total, what)` is called between steps and may
  // return an error to stop; then the old generation goes on.
  virtual absl::StatusOr<RebuildResult> Rebuild(
      const CollectionId& collection,
      absl::FunctionRef<absl::Status(int64_t done, int64_t total, absl::string_view what)>
          progress) = 0;

  // Writes the snapshots of the collections that changed since theirs was written. For a clean end:
  // changes wait meanwhile. What cannot be written is logged; the next start takes longer then.
  virtual void SaveSnapshots() = 0;

  // Called (on an adding thread) with a collection that has outgrown its fitted embedding 1.5
  // times.
  virtual void OnOutgrown(std::function<void(const CollectionId& collection)> callback) = 0;
};

}  // namespace aibackend::retrieval
