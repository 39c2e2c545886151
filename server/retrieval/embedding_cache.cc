#include "server/retrieval/embedding_cache.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/status.h"
#include "server/retrieval/int8_scan.h"
#include "server/retrieval/linear_algebra.h"

namespace aibackend::retrieval {
namespace {

using storage::Blob;
using storage::Row;
using storage::Session;

constexpr absl::Duration kStillWaiting = absl::Seconds(1);  // as TextEmbedder::OnVectors
constexpr int kSizeChangesMax = 2;    // of one Embed(); more is no model whose size was changed
constexpr int64_t kPurgeRows = 1000;  // of a transaction: others write between two

Blob ToBlob(const std::vector<float>& vector) {
  Blob blob;
  blob.bytes.resize(vector.size() * sizeof(float));
  if (!vector.empty()) std::memcpy(blob.bytes.data(), vector.data(), blob.bytes.size());
  return blob;
}

std::vector<float> FromBlob(absl::string_view bytes) {
  std::vector<float> vector(bytes.size() / sizeof(float));
  if (!vector.empty()) std::memcpy(vector.data(), bytes.data(), vector.size() * sizeof(float));
  return vector;
}

absl::Status DifferInSize() {
  return MakeError(Reason::UPSTREAM_BAD_RESPONSE, "the embeddings differ in their size");
}

// One size for all, which the index can hold.
absl::Status CheckSizes(const TextVectors& vectors) {
  const size_t size = vectors.front().size();
  if (size == 0 || size > Int8Scan::kDimensionsMax) {
    return MakeError(Reason::UPSTREAM_BAD_RESPONSE,
                     absl::StrCat("embeddings of ", size, " dimensions can't be used"));
  }
  for (const std::vector<float>& vector : vectors) {
    if (vector.size() != size) return DifferInSize();
  }
  return absl::OkStatus();
}

absl::StatusOr<size_t> ReadDimensions(Session& session, const std::string& key) {
  size_t bytes = 0;
  AIB_RETURN_IF_ERROR(
      session.Query("SELECT LENGTH(vector) FROM embeddings WHERE embedder_key = $1 LIMIT 1", {key},
                    [&](const Row& row) { bytes = static_cast<size_t>(row.Int(0)); }));
  return bytes / sizeof(float);
}

}  // namespace

std::string EmbeddedText(const Document& document, size_t ordinal) {
  if (document.title.empty()) return std::string(document.ChunkText(ordinal));
  return absl::StrCat(document.title, "\n", document.ChunkText(ordinal));
}

std::vector<std::string> EmbeddedTexts(const Document& document) {
  std::vector<std::string> texts;
  for (size_t i = 0; i < document.chunks.size(); ++i) texts.push_back(EmbeddedText(document, i));
  return texts;
}

std::string HashOfText(absl::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr);
  return {reinterpret_cast<const char*>(digest.data()), size};
}

absl::StatusOr<TextVectors> EmbeddingCache::Find(const std::string& key,
                                                 const std::vector<std::string>& texts) {
  std::vector<std::string> hashes;
  hashes.reserve(texts.size());
  for (const std::string& text : texts) hashes.push_back(HashOfText(text));
  return FindHashes(key, hashes);
}

absl::StatusOr<TextVectors> EmbeddingCache::FindHashes(const std::string& key,
                                                       const std::vector<std::string>& hashes) {
  TextVectors vectors(hashes.size());
  AIB_RETURN_IF_ERROR(database_.Read([&](Session& session) -> absl::Status {
    for (size_t i = 0; i < hashes.size(); ++i) {
      AIB_RETURN_IF_ERROR(session.Query(
          "SELECT vector FROM embeddings WHERE embedder_key = $1 AND text_hash = $2",
          {key, Blob{hashes[i]}}, [&](const Row& row) { vectors[i] = FromBlob(row.Bytes(0)); }));
    }
    return absl::OkStatus();
  }));
  return vectors;
}

absl::StatusOr<size_t> EmbeddingCache::Dimensions(const std::string& key) {
  size_t dimensions = 0;
  AIB_RETURN_IF_ERROR(database_.Read([&](Session& session) -> absl::Status {
    AIB_ASSIGN_OR_RETURN(dimensions, ReadDimensions(session, key));
    return absl::OkStatus();
  }));
  return dimensions;
}

absl::Status EmbeddingCache::Keep(const std::string& key, const std::vector<std::string>& hashes,
                                  TextVectors vectors) {
  const size_t size = vectors.front().size();
  for (std::vector<float>& vector : vectors) Normalise(vector.data(), vector.size());
  return database_.Write([&](Session& session) -> absl::Status {
    AIB_ASSIGN_OR_RETURN(const size_t kept, ReadDimensions(session, key));
    if (kept != 0 && kept != size) {
      AIB_RETURN_IF_ERROR(
          session.Execute("DELETE FROM embeddings WHERE embedder_key = $1", {key}).status());
    }
    for (size_t i = 0; i < hashes.size(); ++i) {
      AIB_RETURN_IF_ERROR(session
                              .Execute("INSERT INTO embeddings (embedder_key, text_hash, vector) "
                                       "VALUES ($1, $2, $3) ON CONFLICT (embedder_key, text_hash) "
                                       "DO UPDATE SET vector = excluded.vector",
                                       {key, Blob{hashes[i]}, ToBlob(vectors[i])})
                              .status());
    }
    return absl::OkStatus();
  });
}

// Those that nobody else embeds now.
absl::flat_hash_set<std::string> EmbeddingCache::Claim(const std::string& key,
                                                       const Texts& wanted) {
  absl::MutexLock lock(&mutex_);
  absl::flat_hash_set<std::string> claimed;
  for (const auto& [hash, text] : wanted) {
    if (under_way_.emplace(key, hash).second) claimed.insert(hash);
  }
  return claimed;
}

void EmbeddingCache::Release(const std::string& key,
                             const absl::flat_hash_set<std::string>& claimed) {
  absl::MutexLock lock(&mutex_);
  for (const std::string& hash : claimed) under_way_.erase({key, hash});
  ++releases_;
}

// Claimed before it is looked up: what another caller has just kept is found.
absl::Status EmbeddingCache::EmbedClaimed(TextEmbedder& embedder, const Texts& wanted,
                                          const absl::flat_hash_set<std::string>& claimed,
                                          absl::Time deadline, OnProgress on_progress) {
  std::vector<std::string> hashes(claimed.begin(), claimed.end());
  AIB_ASSIGN_OR_RETURN(const TextVectors found, FindHashes(embedder.key(), hashes));
  std::vector<std::string> missing;  // their hashes
  std::vector<std::string> texts;
  for (size_t i = 0; i < hashes.size(); ++i) {
    if (!found[i].empty()) continue;
    missing.push_back(hashes[i]);
    texts.push_back(wanted.at(hashes[i]));
  }
  size_t done = hashes.size() - missing.size();
  size_t size = 0;
  AIB_RETURN_IF_ERROR(on_progress(done));
  if (missing.empty()) return absl::OkStatus();
  return embedder.Embed(
      texts, deadline, {}, [&](size_t first, TextVectors vectors) -> absl::Status {
        if (!vectors.empty()) {
          AIB_RETURN_IF_ERROR(CheckSizes(vectors));
          if (size != 0 && vectors.front().size() != size) return DifferInSize();
          size = vectors.front().size();
          done += vectors.size();
          const auto begin = missing.begin() + static_cast<ptrdiff_t>(first);
          const auto end = begin + static_cast<ptrdiff_t>(vectors.size());
          AIB_RETURN_IF_ERROR(Keep(embedder.key(), {begin, end}, std::move(vectors)));
        }
        return on_progress(done);
      });
}

absl::Status EmbeddingCache::Embed(TextEmbedder& embedder, const std::vector<std::string>& texts,
                                   absl::Time deadline, OnProgress on_progress) {
  Texts all;
  for (const std::string& text : texts) all.emplace(HashOfText(text), text);
  Texts wanted = all;
  AIB_ASSIGN_OR_RETURN(size_t size, Dimensions(embedder.key()));
  for (int changes = 0; !wanted.empty();) {
    uint64_t releases = 0;
    {
      absl::MutexLock lock(&mutex_);
      releases = releases_;
    }
    const size_t before = all.size() - wanted.size();
    const auto claimed = Claim(embedder.key(), wanted);
    if (!claimed.empty()) {
      const absl::Status status =
          EmbedClaimed(embedder, wanted, claimed, deadline,
                       [&](size_t done) { return on_progress(before + done); });
      Release(embedder.key(), claimed);
      AIB_RETURN_IF_ERROR(status);
      for (const std::string& hash : claimed) wanted.erase(hash);
      AIB_ASSIGN_OR_RETURN(const size_t now, Dimensions(embedder.key()));
      if (size != 0 && now != size) {
        if (++changes > kSizeChangesMax) return DifferInSize();
        wanted = all;
      }
      size = now;
      continue;
    }
    {
      // Others embed them: if they fail, it is for this caller to try.
      absl::MutexLock lock(&mutex_);
      const auto released = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return releases_ != releases;
      };
      mutex_.AwaitWithDeadline(absl::Condition(&released),
                               std::min(deadline, absl::Now() + kStillWaiting));
    }
    AIB_RETURN_IF_ERROR(on_progress(before));
    if (absl::Now() >= deadline) {
      return MakeError(Reason::UPSTREAM_TIMEOUT, "the embedder didn't answer in time");
    }
  }
  return absl::OkStatus();
}

absl::Status EmbeddingCache::KeepOnly(const absl::flat_hash_set<std::string>& hashes) {
  for (int64_t last = 0;;) {
    std::vector<int64_t> unused;
    int64_t rows = 0;
    AIB_RETURN_IF_ERROR(database_.Read([&](Session& session) {
      return session.Query(
          "SELECT seq, text_hash FROM embeddings WHERE seq > $1 ORDER BY seq LIMIT $2",
          {last, kPurgeRows}, [&](const Row& row) {
            ++rows;
            last = row.Int(0);
            if (!hashes.contains(row.Bytes(1))) unused.push_back(last);
          });
    }));
    if (!unused.empty()) {
      AIB_RETURN_IF_ERROR(database_.Write([&](Session& session) -> absl::Status {
        for (const int64_t seq : unused) {
          AIB_RETURN_IF_ERROR(
              session.Execute("DELETE FROM embeddings WHERE seq = $1", {seq}).status());
        }
        return absl::OkStatus();
      }));
    }
    if (rows < kPurgeRows) return absl::OkStatus();
  }
}

}  // namespace aibackend::retrieval
