// The tables of keys and limits: their SQL, and what is kept of them in memory.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "server/access/key_store.h"
#include "server/access/key_text.h"
#include "server/access/meter.h"
#include "server/access/principal.h"
#include "server/storage/database.h"

namespace aibackend::access {

// Both tables at one moment, as calls need them: without revoked keys. Never changes.
struct KeySnapshot {
  struct Key {
    std::shared_ptr<const Principal> principal;
    absl::Time expires_at;  // InfiniteFuture: it doesn't
  };
  // Some of its bits are as good as any: nobody chooses a digest.
  struct HashOfDigest {
    size_t operator()(const Digest& digest) const {
      size_t hash = 0;
      std::memcpy(&hash, digest.data(), sizeof(hash));
      return hash;
    }
  };
  struct EqualDigests {
    bool operator()(const Digest& a, const Digest& b) const { return SameDigest(a, b); }
  };

  int64_t version = 0;
  absl::flat_hash_map<Digest, Key, HashOfDigest, EqualDigests> keys;
  absl::flat_hash_map<Subject, std::shared_ptr<const Limits>> subjects;  // users and tenants
};

absl::StatusOr<int64_t> ReadVersion(storage::Session& session);

// A key without limits of its own has `key_default`. A row that can't be read is in the log as an
// error: its limits let nothing through.
absl::StatusOr<std::shared_ptr<const KeySnapshot>> ReadSnapshot(
    storage::Session& session, const std::shared_ptr<const Limits>& key_default);

// Fails with KEY_NOT_FOUND.
absl::StatusOr<KeyInfo> ReadKey(storage::Session& session, const std::string& id);

// At most `limit` keys, newest first, after (before_us, before_id); `tenant` empty: of all.
absl::StatusOr<std::vector<KeyInfo>> ReadKeys(storage::Session& session, const std::string& tenant,
                                              int64_t before_us, const std::string& before_id,
                                              int64_t limit);

absl::Status InsertKey(storage::Session& session, const KeyInfo& key, const Digest& digest);
// What may change of a key: name, limits, the times it ends, replaced_by.
absl::Status UpdateKey(storage::Session& session, const KeyInfo& key);

// No limits: removes the row.
absl::Status WriteSubjectLimits(storage::Session& session, const SubjectLimits& subject);
// By tenant and user; `tenant` empty: of all.
absl::StatusOr<std::vector<SubjectLimits>> ReadSubjectLimits(storage::Session& session,
                                                             const std::string& tenant);

}  // namespace aibackend::access
