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
#include "server/retrieval/text_embedder.h"
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

// What a collection's next generation is to be made with.
struct RebuildRequest {
  std::string embedder;  // kFittedEmbedder or an embedder's name; empty: the collection's own
  // Not empty: who asks. Where the serving generation was made for it already, that one is the
  // result: a job that is run again after a crash makes no second one.
  std::string order_id;
};

struct RebuildResult {
  int64_t documents = 0;
  int64_t chunks = 0;
  int generation = 0;
  std::string embedder;
};

struct StoreOptions {
  LegSet legs;                             // what hybrid and lexical searches sum up
  std::vector<TextEmbedder*> embedders;    // outlive the store; no two of one name
  std::string embedder = kFittedEmbedder;  // of collections that have no generation yet
  absl::Duration query_embed_timeout = absl::Seconds(2);
  int query_embeds_max = 2;  // searches that may wait for an embedder at once; others don't
  // Where snapshots of the indexes are kept, so that a start is quick; empty: none are.
  std::string snapshot_dir;
};

// Thread-safe; calls block on the database. One writer at a time changes a collection; searches go
// on meanwhile.
class DocumentStore : public Retriever {
 public:
  // Loads every collection from the database, and its index from the snapshot where that is of any
  // use; else fits its embedding, or takes the vectors of its embedder from the database. No
  // embedder is asked. Blocks until searches can be served.
  static absl::StatusOr<std::unique_ptr<DocumentStore>> Open(storage::Database& database,
                                                             Clock& clock,
                                                             StoreOptions options = {});

  // Stores and indexes the documents of one call, all or none. Errors name "documents[i].field".
  // Where the collection's embedder doesn't answer in time they are stored all the same: the word
  // legs find them, and OnOutgrown's callback is called.
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

  using Progress =
      absl::FunctionRef<absl::Status(int64_t done, int64_t total, absl::string_view what)>;

  // MODEL_NOT_FOUND for a name that is neither "fitted" nor an embedder's.
  virtual absl::Status CheckEmbedder(const std::string& name) const = 0;

  // Cuts every document of the collection again, embeds what no vector is kept of, fits beside the
  // old generation and swaps the new one in. `progress(done, total, what)` is called between steps
  // and may return an error to stop. After any error the old generation goes on; what was embedded
  // is kept for the next try. Errors: as CheckEmbedder; the embedder's.
  virtual absl::StatusOr<RebuildResult> Rebuild(const CollectionId& collection,
                                                const RebuildRequest& request,
                                                Progress progress) = 0;
  absl::StatusOr<RebuildResult> Rebuild(const CollectionId& collection, Progress progress) {
    return Rebuild(collection, RebuildRequest(), progress);
  }

  // The same, with the embedder of a former generation, by number; 0: of the one before the
  // serving one. Works while the embedder is away: texts without a vector are left to the word
  // legs. Errors: FIELD_INVALID where there is no such generation; as CheckEmbedder.
  virtual absl::StatusOr<RebuildResult> Rollback(const CollectionId& collection, int generation,
                                                 const std::string& order_id,
                                                 Progress progress) = 0;

  // Writes the snapshots of the collections that changed since theirs was written. For a clean end:
  // changes wait meanwhile. What cannot be written is logged; the next start takes longer then.
  virtual void SaveSnapshots() = 0;

  // Called (on a thread that changes it or searches) with a collection that should be rebuilt: it
  // has outgrown its fit 1.5 times, or shrunk to less than two thirds of it, or there are chunks
  // without a vector while its embedder may answer. Called from here, too, for those that are so
  // from the start.
  virtual void OnOutgrown(std::function<void(const CollectionId& collection)> callback) = 0;
};

}  // namespace aibackend::retrieval
