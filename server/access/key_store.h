// API keys, and the limits of users and tenants: kept in the database, read from memory.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "server/access/key_text.h"
#include "server/access/meter.h"
#include "server/access/principal.h"
#include "server/base/clock.h"
#include "server/base/ids.h"
#include "server/storage/database.h"

namespace aibackend::access {

// A key as it is shown; what it opens is told by Create and Rotate alone.
struct KeyInfo {
  std::string id;
  std::string name;
  std::string prefix;  // its first characters
  std::string tenant;
  std::string user;
  ScopeSet scopes;
  Limits limits;  // its own, without the defaults
  absl::Time created_at;
  absl::optional<absl::Time> expires_at;
  absl::optional<absl::Time> revoked_at;
  std::string replaced_by;
};

struct KeySpec {
  std::string name;
  std::string tenant;  // empty: "default"
  std::string user;
  std::vector<std::string> scopes;
  Limits limits;
  absl::optional<absl::Time> expires_at;
};

// What is set replaces what was.
struct KeyChange {
  absl::optional<std::string> name;
  absl::optional<Limits> limits;
  absl::optional<absl::Time> expires_at;
};

struct NewKey {
  KeyInfo info;
  std::string key;
};

struct KeyPage {
  std::vector<KeyInfo> keys;    // newest first
  std::string next_page_token;  // empty on the last page
};

struct SubjectLimits {
  std::string tenant;
  std::string user;  // empty: the tenant's own
  Limits limits;
};

struct KeySnapshot;  // key_tables.h

// Thread-safe. Find and LimitsOf read a snapshot of both tables and never touch the database; the
// other methods block on it, and what they change shows in Find before they return.
//
// A thread asks `access_version` every `poll_interval`, and reads the tables again when it changed,
// whoever changed it. While the database is away the last snapshot goes on, with one warning.
// Limits in a table that can't be read let nothing through: a typo must not lift a limit.
//
// Errors: KEY_NOT_FOUND; FIELD_INVALID and FIELD_OUT_OF_RANGE with the field's name in the
// contract (keys.proto); DATABASE_UNAVAILABLE.
class KeyStore final : public LimitSource {
 public:
  // What holds where a subject has no limits of its own: they are replaced as a whole.
  struct Defaults {
    Limits key;
    Limits user;
    Limits tenant;
    Limits address;
  };
  struct Options {
    // With it a key that was revoked elsewhere dies well within a second.
    absl::Duration poll_interval = absl::Milliseconds(250);
    Defaults defaults;
  };

  // Reads the tables for the first time. All references outlive it.
  static absl::StatusOr<std::unique_ptr<KeyStore>> Open(storage::Database& database, Clock& clock,
                                                        IdSource& ids, Options options);
  ~KeyStore() override;

  // Of the key with this digest: null if there is none, or it is revoked or expired. Its limits
  // are the key's own, or the default.
  std::shared_ptr<const Principal> Find(const Digest& digest) const;
  std::shared_ptr<const Limits> LimitsOf(const Subject& subject) const override;

  absl::StatusOr<NewKey> Create(const KeySpec& spec);
  // `tenant` empty: of all. `page_size` is brought to 1…1000. Fails with PAGE_TOKEN_INVALID.
  absl::StatusOr<KeyPage> List(const std::string& tenant, int page_size,
                               const std::string& page_token);
  absl::StatusOr<KeyInfo> Get(const std::string& id);
  absl::StatusOr<KeyInfo> Update(const std::string& id, const KeyChange& change);
  // A new key with all that the old one has; the old one ends after `overlap` (0 to 30 days), or
  // sooner if it would anyway. Refuses with FIELD_INVALID a key that is revoked, expired, or
  // rotated already.
  absl::StatusOr<NewKey> Rotate(const std::string& id, absl::Duration overlap);
  // True: it is revoked now. False: it was before.
  absl::StatusOr<bool> Revoke(const std::string& id);

  // Of a tenant (`user` empty; `tenant` empty: "default") or of a user in it. No limits: the
  // defaults hold again.
  absl::Status SetLimits(const std::string& tenant, const std::string& user, const Limits& limits);
  // By tenant and user. `tenant` empty: of all.
  absl::StatusOr<std::vector<SubjectLimits>> ListLimits(const std::string& tenant);

  // Reads the tables now, if they changed.
  absl::Status Reload();
  // The `access_version` that the snapshot is of.
  int64_t version() const;
  // Waits until the snapshot is at least of `version`; false if `timeout` passes first.
  bool WaitForVersion(int64_t version, absl::Duration timeout) const;

 private:
  using Snapshot = std::shared_ptr<const KeySnapshot>;

  KeyStore(storage::Database& database, Clock& clock, IdSource& ids, Options options,
           Snapshot first);

  // Runs `work` in a write transaction, and puts the snapshot of what it left in place.
  absl::Status Change(absl::FunctionRef<absl::Status(storage::Session&)> work);
  Snapshot Current() const;
  void Poll();

  storage::Database& database_;
  Clock& clock_;
  IdSource& ids_;
  const absl::Duration poll_interval_;
  const std::shared_ptr<const Limits> key_default_;
  const std::shared_ptr<const Limits> user_default_;
  const std::shared_ptr<const Limits> tenant_default_;
  const std::shared_ptr<const Limits> address_default_;

  mutable absl::Mutex mutex_;
  Snapshot current_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread poller_;  // last: it uses the others
};

}  // namespace aibackend::access
