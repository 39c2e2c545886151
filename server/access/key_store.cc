#include "server/access/key_store.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/access/key_tables.h"
#include "server/access/limits_json.h"
#include "server/base/status.h"
#include "server/base/text.h"
#include "server/storage/page_cursor.h"
#include "spdlog/spdlog.h"

namespace aibackend::access {
namespace {

using storage::Session;

constexpr int kPageSizeMax = 1000;
constexpr size_t kNameBytesMax = 128;
constexpr absl::Duration kOverlapMax = absl::Hours(24 * 30);

constexpr char kDefaultTenant[] = "default";

std::shared_ptr<const Limits> Shared(const Limits& limits) {
  return limits.empty() ? nullptr : std::make_shared<const Limits>(limits);
}

std::string TenantOr(const std::string& tenant) {
  return tenant.empty() ? kDefaultTenant : tenant;
}

absl::Status CheckTenant(const std::string& tenant) {
  if (IsTenantName(tenant)) return absl::OkStatus();
  return MakeError(Reason::FIELD_INVALID, "must be 1 to 64 of letters, digits, _ . and -",
                   "tenant_id");
}

absl::Status CheckText(const std::string& text, size_t bytes_max, const char* field) {
  if (text.size() <= bytes_max && IsValidUtf8(text)) return absl::OkStatus();
  return MakeError(Reason::FIELD_INVALID,
                   absl::StrCat("must be UTF-8 of at most ", bytes_max, " bytes"), field);
}

absl::Status CheckExpiry(const absl::optional<absl::Time>& expires_at, absl::Time now) {
  if (!expires_at || *expires_at > now) return absl::OkStatus();
  return MakeError(Reason::FIELD_OUT_OF_RANGE, "must be in the future", "expires_at");
}

absl::StatusOr<ScopeSet> ReadScopes(const std::vector<std::string>& names) {
  ScopeSet scopes;
  for (const std::string& name : names) {
    const absl::optional<Scope> scope = ScopeOf(name);
    if (!scope || scope == Scope::kAny) {
      return MakeError(Reason::FIELD_INVALID,
                       "must be of chat, embed, documents.read, documents.write, jobs, usage and "
                       "admin",
                       "scopes");
    }
    scopes.Add(*scope);
  }
  return scopes;
}

absl::StatusOr<KeyInfo> CheckSpec(const KeySpec& spec, absl::Time now) {
  KeyInfo key;
  key.name = spec.name;
  key.tenant = TenantOr(spec.tenant);
  key.user = spec.user;
  key.limits = spec.limits;
  key.created_at = now;
  key.expires_at = spec.expires_at;
  AIB_RETURN_IF_ERROR(CheckText(key.name, kNameBytesMax, "name"));
  AIB_RETURN_IF_ERROR(CheckTenant(key.tenant));
  AIB_RETURN_IF_ERROR(CheckText(key.user, kUserBytesMax, "user_id"));
  AIB_RETURN_IF_ERROR(CheckLimits(key.limits));
  AIB_RETURN_IF_ERROR(CheckExpiry(key.expires_at, now));
  AIB_ASSIGN_OR_RETURN(key.scopes, ReadScopes(spec.scopes));
  return key;
}

absl::Status CheckRotatable(const KeyInfo& key, absl::Time now) {
  if (key.revoked_at || (key.expires_at && *key.expires_at <= now)) {
    return MakeError(Reason::FIELD_INVALID, "is revoked or expired: create a key instead", "id");
  }
  if (!key.replaced_by.empty()) {
    return MakeError(Reason::FIELD_INVALID,
                     absl::StrCat("was rotated before: rotate ", key.replaced_by), "id");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<KeyStore>> KeyStore::Open(storage::Database& database, Clock& clock,
                                                         IdSource& ids, Options options) {
  Snapshot first;
  AIB_RETURN_IF_ERROR(database.Read([&](Session& session) -> absl::Status {
    AIB_ASSIGN_OR_RETURN(first, ReadSnapshot(session, Shared(options.defaults.key)));
    return absl::OkStatus();
  }));
  return std::unique_ptr<KeyStore>(new KeyStore(database, clock, ids, options, std::move(first)));
}

KeyStore::KeyStore(storage::Database& database, Clock& clock, IdSource& ids, Options options,
                   Snapshot first)
    : database_(database),
      clock_(clock),
      ids_(ids),
      poll_interval_(options.poll_interval),
      key_default_(Shared(options.defaults.key)),
      user_default_(Shared(options.defaults.user)),
      tenant_default_(Shared(options.defaults.tenant)),
      address_default_(Shared(options.defaults.address)),
      current_(std::move(first)),
      poller_([this] { Poll(); }) {}

KeyStore::~KeyStore() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  poller_.join();
}

std::shared_ptr<const Principal> KeyStore::Find(const Digest& digest) const {
  const Snapshot snapshot = Current();
  const auto found = snapshot->keys.find(digest);
  if (found == snapshot->keys.end()) return nullptr;
  const auto& [principal, expires_at] = found->second;
  const bool is_expired = expires_at != absl::InfiniteFuture() && expires_at <= clock_.Now();
  return is_expired ? nullptr : principal;
}

std::shared_ptr<const Limits> KeyStore::LimitsOf(const Subject& subject) const {
  if (subject.kind == Subject::Kind::kKey) return key_default_;
  if (subject.kind == Subject::Kind::kAddress) return address_default_;
  const Snapshot snapshot = Current();
  const auto found = snapshot->subjects.find(subject);
  if (found != snapshot->subjects.end()) return found->second;
  return subject.kind == Subject::Kind::kUser ? user_default_ : tenant_default_;
}

absl::StatusOr<NewKey> KeyStore::Create(const KeySpec& spec) {
  NewKey made;
  AIB_ASSIGN_OR_RETURN(KeyInfo key, CheckSpec(spec, clock_.Now()));
  AIB_ASSIGN_OR_RETURN(made.key, MakeKeyText());
  key.id = ids_.Next("key_");
  key.prefix = made.key.substr(0, kShownBytes);
  AIB_RETURN_IF_ERROR(Change([&](Session& session) -> absl::Status {
    AIB_RETURN_IF_ERROR(InsertKey(session, key, DigestOf(made.key)));
    AIB_ASSIGN_OR_RETURN(made.info, ReadKey(session, key.id));
    return absl::OkStatus();
  }));
  return made;
}

absl::StatusOr<KeyPage> KeyStore::List(const std::string& tenant, int page_size,
                                       const std::string& page_token) {
  const size_t limit = std::clamp(page_size, 1, kPageSizeMax);
  storage::PageCursor after = {std::numeric_limits<int64_t>::max(), ""};
  if (!page_token.empty()) {
    AIB_ASSIGN_OR_RETURN(after, storage::DecodePageToken(page_token));
  }
  KeyPage page;
  AIB_RETURN_IF_ERROR(database_.Read([&](Session& session) -> absl::Status {
    // One more than asked for tells whether there is a next page.
    AIB_ASSIGN_OR_RETURN(page.keys, ReadKeys(session, tenant, after.at_us, after.id,
                                             static_cast<int64_t>(limit + 1)));
    return absl::OkStatus();
  }));
  if (page.keys.size() > limit) {
    page.keys.resize(limit);
    const KeyInfo& last = page.keys.back();
    page.next_page_token = storage::EncodePageToken({absl::ToUnixMicros(last.created_at), last.id});
  }
  return page;
}

absl::StatusOr<KeyInfo> KeyStore::Get(const std::string& id) {
  KeyInfo key;
  AIB_RETURN_IF_ERROR(database_.Read([&](Session& session) -> absl::Status {
    AIB_ASSIGN_OR_RETURN(key, ReadKey(session, id));
    return absl::OkStatus();
  }));
  return key;
}

absl::StatusOr<KeyInfo> KeyStore::Update(const std::string& id, const KeyChange& change) {
  if (change.name) AIB_RETURN_IF_ERROR(CheckText(*change.name, kNameBytesMax, "name"));
  if (change.limits) AIB_RETURN_IF_ERROR(CheckLimits(*change.limits));
  AIB_RETURN_IF_ERROR(CheckExpiry(change.expires_at, clock_.Now()));
  KeyInfo key;
  AIB_RETURN_IF_ERROR(Change([&](Session& session) -> absl::Status {
    AIB_ASSIGN_OR_RETURN(key, ReadKey(session, id));
    if (change.name) key.name = *change.name;
    if (change.limits) key.limits = *change.limits;
    if (change.expires_at) key.expires_at = change.expires_at;
    AIB_RETURN_IF_ERROR(UpdateKey(session, key));
    AIB_ASSIGN_OR_RETURN(key, ReadKey(session, id));
    return absl::OkStatus();
  }));
  return key;
}

absl::StatusOr<NewKey> KeyStore::Rotate(const std::string& id, absl::Duration overlap) {
  if (overlap < absl::ZeroDuration() || overlap > kOverlapMax) {
    return MakeError(Reason::FIELD_OUT_OF_RANGE,
                     absl::StrCat("must be 0 to ", absl::ToInt64Seconds(kOverlapMax)),
                     "overlap_seconds");
  }
  NewKey made;
  AIB_ASSIGN_OR_RETURN(made.key, MakeKeyText());
  const std::string new_id = ids_.Next("key_");
  AIB_RETURN_IF_ERROR(Change([&](Session& session) -> absl::Status {
    const absl::Time now = clock_.Now();
    AIB_ASSIGN_OR_RETURN(KeyInfo old_key, ReadKey(session, id));
    AIB_RETURN_IF_ERROR(CheckRotatable(old_key, now));
    KeyInfo new_key = old_key;
    new_key.id = new_id;
    new_key.prefix = made.key.substr(0, kShownBytes);
    new_key.created_at = now;
    old_key.expires_at = std::min(old_key.expires_at.value_or(now + overlap), now + overlap);
    old_key.replaced_by = new_id;
    AIB_RETURN_IF_ERROR(UpdateKey(session, old_key));
    AIB_RETURN_IF_ERROR(InsertKey(session, new_key, DigestOf(made.key)));
    AIB_ASSIGN_OR_RETURN(made.info, ReadKey(session, new_id));
    return absl::OkStatus();
  }));
  return made;
}

absl::StatusOr<bool> KeyStore::Revoke(const std::string& id) {
  bool is_revoked_now = false;
  AIB_RETURN_IF_ERROR(Change([&](Session& session) -> absl::Status {
    AIB_ASSIGN_OR_RETURN(KeyInfo key, ReadKey(session, id));
    is_revoked_now = !key.revoked_at;
    if (!is_revoked_now) return absl::OkStatus();
    key.revoked_at = clock_.Now();
    return UpdateKey(session, key);
  }));
  return is_revoked_now;
}

absl::Status KeyStore::SetLimits(const std::string& tenant, const std::string& user,
                                 const Limits& limits) {
  const SubjectLimits subject = {TenantOr(tenant), user, limits};
  AIB_RETURN_IF_ERROR(CheckTenant(subject.tenant));
  AIB_RETURN_IF_ERROR(CheckText(user, kUserBytesMax, "user_id"));
  AIB_RETURN_IF_ERROR(CheckLimits(limits));
  return Change([&](Session& session) { return WriteSubjectLimits(session, subject); });
}

absl::StatusOr<std::vector<SubjectLimits>> KeyStore::ListLimits(const std::string& tenant) {
  std::vector<SubjectLimits> all;
  AIB_RETURN_IF_ERROR(database_.Read([&](Session& session) -> absl::Status {
    AIB_ASSIGN_OR_RETURN(all, ReadSubjectLimits(session, tenant));
    return absl::OkStatus();
  }));
  return all;
}

absl::Status KeyStore::Reload() {
  for (;;) {
    const Snapshot seen = Current();
    Snapshot next;
    AIB_RETURN_IF_ERROR(database_.Read([&](Session& session) -> absl::Status {
      AIB_ASSIGN_OR_RETURN(const int64_t version, ReadVersion(session));
      // Not "greater": a database that was restored from a backup counts on from an older one.
      if (version == seen->version) return absl::OkStatus();
      AIB_ASSIGN_OR_RETURN(next, ReadSnapshot(session, key_default_));
      return absl::OkStatus();
    }));
    if (next == nullptr) return absl::OkStatus();
    absl::MutexLock lock(&mutex_);
    // A change of our own that came meanwhile is newer than what was read: look again.
    if (current_ != seen) continue;
    current_ = std::move(next);
    return absl::OkStatus();
  }
}

absl::Status KeyStore::Change(absl::FunctionRef<absl::Status(Session&)> work) {
  // Read inside the transaction, so that nothing can fail between the commit and the snapshot.
  Snapshot next;
  AIB_RETURN_IF_ERROR(database_.Write([&](Session& session) -> absl::Status {
    AIB_RETURN_IF_ERROR(work(session));
    AIB_ASSIGN_OR_RETURN(next, ReadSnapshot(session, key_default_));
    return absl::OkStatus();
  }));
  absl::MutexLock lock(&mutex_);
  if (next->version > current_->version) current_ = std::move(next);
  return absl::OkStatus();
}

int64_t KeyStore::version() const {
  return Current()->version;
}

bool KeyStore::WaitForVersion(int64_t version, absl::Duration timeout) const {
  absl::MutexLock lock(&mutex_);
  const auto is_reached = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return current_->version >= version;
  };
  return mutex_.AwaitWithTimeout(absl::Condition(&is_reached), timeout);
}

KeyStore::Snapshot KeyStore::Current() const {
  absl::MutexLock lock(&mutex_);
  return current_;
}

void KeyStore::Poll() {
  bool is_away = false;
  for (;;) {
    {
      absl::MutexLock lock(&mutex_);
      if (mutex_.AwaitWithTimeout(absl::Condition(&stopping_), poll_interval_)) return;
    }
    const absl::Status status = Reload();
    if (!status.ok() && !is_away) {
      spdlog::warn("access: keys and limits stay as they were read last: {} {}",
                   ReasonName(ReasonOf(status)), ToStd(status.message()));
    } else if (status.ok() && is_away) {
      spdlog::info("access: keys and limits are read again");
    }
    is_away = !status.ok();
  }
}

}  // namespace aibackend::access
