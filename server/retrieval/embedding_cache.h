// The vectors that embedders outside have made of texts, kept in the database: no text is embedded,
// and paid for, twice.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/retrieval/document.h"
#include "server/retrieval/text_embedder.h"
#include "server/storage/database.h"

namespace aibackend::retrieval {

// What is embedded of a chunk: the document's title, a line break and the chunk's text; the text
// alone where there is no title.
std::string EmbeddedText(const Document& document, size_t ordinal);

// Of all its chunks.
std::vector<std::string> EmbeddedTexts(const Document& document);

// SHA-256 of it, 32 bytes: what its vectors are kept by.
std::string HashOfText(absl::string_view text);

// One for each text; empty: there is none.
using TextVectors = std::vector<std::vector<float>>;

// Thread-safe; calls block on the database.
class EmbeddingCache {
 public:
  explicit EmbeddingCache(storage::Database& database) : database_(database) {}

  // The vectors, of length 1 (zeros, where the embedder gave zeros).
  absl::StatusOr<TextVectors> Find(const std::string& key, const std::vector<std::string>& texts);

  // Embeds what no vector is kept of, and keeps each as soon as it is there: an error, or a crash,
  // loses what was under way. A text that another caller embeds is waited for. Whenever a piece is
  // there, and once a second, `on_progress(texts that are done)` is called, and may end this.
  //
  // All vectors of a key have one size. Where the embedder has come to give another, those kept
  // before are forgotten, and made again where `texts` hold them. Errors: TextEmbedder::Embed's.
  using OnProgress = absl::FunctionRef<absl::Status(size_t done)>;
  absl::Status Embed(TextEmbedder& embedder, const std::vector<std::string>& texts,
                     absl::Time deadline, OnProgress on_progress);

  // Of the vectors kept by `key`; 0 where there are none.
  absl::StatusOr<size_t> Dimensions(const std::string& key);

  // Forgets the vectors of all texts but those with these hashes.
  absl::Status KeepOnly(const absl::flat_hash_set<std::string>& hashes);

  // Held, shared, by who has looked vectors up for texts that are stored in a moment; alone by who
  // finds out which texts are stored, to call KeepOnly. Taken before the store's locks.
  absl::Mutex& in_use() ABSL_LOCK_RETURNED(in_use_) { return in_use_; }

 private:
  using Texts = absl::flat_hash_map<std::string, std::string>;  // by hash

  absl::flat_hash_set<std::string> Claim(const std::string& key, const Texts& wanted);
  void Release(const std::string& key, const absl::flat_hash_set<std::string>& claimed);
  absl::Status EmbedClaimed(TextEmbedder& embedder, const Texts& wanted,
                            const absl::flat_hash_set<std::string>& claimed, absl::Time deadline,
                            OnProgress on_progress);
  absl::StatusOr<TextVectors> FindHashes(const std::string& key,
                                         const std::vector<std::string>& hashes);
  absl::Status Keep(const std::string& key, const std::vector<std::string>& hashes,
                    TextVectors vectors);

  storage::Database& database_;
  absl::Mutex in_use_;

  absl::Mutex mutex_;
  absl::flat_hash_set<std::pair<std::string, std::string>> under_way_
      ABSL_GUARDED_BY(mutex_);  // key and hash
  uint64_t releases_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace aibackend::retrieval
