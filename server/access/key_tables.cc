#include "server/access/key_tables.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/access/limits_json.h"
#include "server/base/status.h"
#include "server/base/text.h"
#include "spdlog/spdlog.h"

namespace aibackend::access {
namespace {

using storage::Row;
using storage::Session;
using storage::Value;

#define AIB_KEY_COLUMNS                                                         \
  "id, prefix, name, tenant, user_id, scopes, limits, created_at, expires_at, " \
  "revoked_at, replaced_by"

constexpr char kInsert[] = "INSERT INTO api_keys (" AIB_KEY_COLUMNS
                           ", digest)"
                           " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
constexpr char kUpdate[] =
    "UPDATE api_keys SET name = $2, limits = $3, expires_at = $4, revoked_at = $5,"
    " replaced_by = $6 WHERE id = $1";
constexpr char kSelectOne[] = "SELECT " AIB_KEY_COLUMNS " FROM api_keys WHERE id = $1";
constexpr char kSelectPage[] = "SELECT " AIB_KEY_COLUMNS
                               " FROM api_keys"
                               " WHERE ($1 = '' OR tenant = $1) AND (created_at, id) < ($2, $3)"
                               " ORDER BY created_at DESC, id DESC LIMIT $4";
constexpr char kSelectLive[] =
    "SELECT id, tenant, user_id, scopes, limits, expires_at, digest FROM api_keys"
    " WHERE revoked_at IS NULL";

constexpr char kUpsertLimits[] =
    "INSERT INTO subject_limits (tenant, user_id, limits) VALUES ($1, $2, $3)"
    " ON CONFLICT (tenant, user_id) DO UPDATE SET limits = excluded.limits";
constexpr char kDeleteLimits[] = "DELETE FROM subject_limits WHERE tenant = $1 AND user_id = $2";
constexpr char kSelectLimits[] =
    "SELECT tenant, user_id, limits FROM subject_limits WHERE $1 = '' OR tenant = $1"
    " ORDER BY tenant, user_id";

Limits NothingPasses() {
  Limits limits;
  limits.requests_per_minute = 0;
  return limits;
}

// `whose` names the row in the log.
Limits LimitsOfColumn(const std::string& text, const std::string& whose) {
  absl::StatusOr<Limits> limits = ParseLimits(text);
  if (limits.ok()) return *limits;
  spdlog::error("access: {} is let through nothing: {} {}", whose, FieldOf(limits.status()),
                ToStd(limits.status().message()));
  return NothingPasses();
}

ScopeSet ScopesOfColumn(const std::string& text) {
  if (text.empty()) return {};
  return ScopesOf(absl::StrSplit(text, ' ', absl::SkipEmpty()));
}

absl::optional<absl::Time> TimeAt(const Row& row, int column) {
  if (row.IsNull(column)) return absl::nullopt;
  return absl::FromUnixMicros(row.Int(column));
}

Value TimeValue(const absl::optional<absl::Time>& time) {
  if (!time) return nullptr;
  return absl::ToUnixMicros(*time);
}

KeyInfo ReadRow(const Row& row) {
  KeyInfo key;
  key.id = row.Text(0);
  key.prefix = row.Text(1);
  key.name = row.Text(2);
  key.tenant = row.Text(3);
  key.user = row.Text(4);
  key.scopes = ScopesOfColumn(row.Text(5));
  key.limits = LimitsOfColumn(row.Text(6), absl::StrCat("key ", key.id));
  key.created_at = absl::FromUnixMicros(row.Int(7));
  key.expires_at = TimeAt(row, 8);
  key.revoked_at = TimeAt(row, 9);
  key.replaced_by = row.Text(10);
  return key;
}

void TakeLiveKey(const Row& row, const std::shared_ptr<const Limits>& key_default,
                 KeySnapshot& snapshot) {
  auto principal = std::make_shared<Principal>();
  principal->key_id = row.Text(0);
  principal->tenant = row.Text(1);
  principal->user = row.Text(2);
  principal->scopes = ScopesOfColumn(row.Text(3));
  const Limits limits = LimitsOfColumn(row.Text(4), absl::StrCat("key ", principal->key_id));
  principal->limits = limits.empty() ? key_default : std::make_shared<const Limits>(limits);
  const absl::Time expires_at = TimeAt(row, 5).value_or(absl::InfiniteFuture());

  const absl::string_view bytes = row.Bytes(6);
  Digest digest;
  if (bytes.size() != digest.size()) {
    spdlog::error("access: key {} opens nothing: its digest has {} bytes", principal->key_id,
                  bytes.size());
    return;
  }
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  snapshot.keys[digest] = {std::move(principal), expires_at};
}

void TakeSubject(const Row& row, KeySnapshot& snapshot) {
  Subject subject;
  subject.tenant = row.Text(0);
  subject.id = row.Text(1);
  subject.kind = subject.id.empty() ? Subject::Kind::kTenant : Subject::Kind::kUser;
  const Limits limits = LimitsOfColumn(
      row.Text(2), absl::StrCat(subject.id.empty() ? "" : "a user of ", "tenant ", subject.tenant));
  if (limits.empty()) return;
  snapshot.subjects[std::move(subject)] = std::make_shared<const Limits>(limits);
}

}  // namespace

absl::StatusOr<int64_t> ReadVersion(Session& session) {
  absl::optional<int64_t> version;
  AIB_RETURN_IF_ERROR(session.Query("SELECT version FROM access_version", {},
                                    [&](const Row& row) { version = row.Int(0); }));
  if (!version) return MakeError(Reason::INTERNAL, "access_version is empty");
  return *version;
}

absl::StatusOr<std::shared_ptr<const KeySnapshot>> ReadSnapshot(
    Session& session, const std::shared_ptr<const Limits>& key_default) {
  auto snapshot = std::make_shared<KeySnapshot>();
  AIB_ASSIGN_OR_RETURN(snapshot->version, ReadVersion(session));
  AIB_RETURN_IF_ERROR(session.Query(
      kSelectLive, {}, [&](const Row& row) { TakeLiveKey(row, key_default, *snapshot); }));
  AIB_RETURN_IF_ERROR(session.Query(kSelectLimits, {std::string()},
                                    [&](const Row& row) { TakeSubject(row, *snapshot); }));
  return snapshot;
}

absl::StatusOr<KeyInfo> ReadKey(Session& session, const std::string& id) {
  absl::optional<KeyInfo> key;
  AIB_RETURN_IF_ERROR(session.Query(kSelectOne, {id}, [&](const Row& row) { key = ReadRow(row); }));
  if (!key) return MakeError(Reason::KEY_NOT_FOUND, "there is no key of this id", "id");
  return *std::move(key);
}

absl::StatusOr<std::vector<KeyInfo>> ReadKeys(Session& session, const std::string& tenant,
                                              int64_t before_us, const std::string& before_id,
                                              int64_t limit) {
  std::vector<KeyInfo> keys;
  AIB_RETURN_IF_ERROR(session.Query(kSelectPage, {tenant, before_us, before_id, limit},
                                    [&](const Row& row) { keys.push_back(ReadRow(row)); }));
  return keys;
}

absl::Status InsertKey(Session& session, const KeyInfo& key, const Digest& digest) {
  return session
      .Execute(kInsert, {key.id, key.prefix, key.name, key.tenant, key.user,
                         absl::StrJoin(ScopeNames(key.scopes), " "), FormatLimits(key.limits),
                         absl::ToUnixMicros(key.created_at), TimeValue(key.expires_at),
                         TimeValue(key.revoked_at), key.replaced_by,
                         storage::Blob{std::string(digest.begin(), digest.end())}})
      .status();
}

absl::Status UpdateKey(Session& session, const KeyInfo& key) {
  return session
      .Execute(kUpdate, {key.id, key.name, FormatLimits(key.limits), TimeValue(key.expires_at),
                         TimeValue(key.revoked_at), key.replaced_by})
      .status();
}

absl::Status WriteSubjectLimits(Session& session, const SubjectLimits& subject) {
  if (subject.limits.empty()) {
    return session.Execute(kDeleteLimits, {subject.tenant, subject.user}).status();
  }
  return session
      .Execute(kUpsertLimits, {subject.tenant, subject.user, FormatLimits(subject.limits)})
      .status();
}

absl::StatusOr<std::vector<SubjectLimits>> ReadSubjectLimits(Session& session,
                                                             const std::string& tenant) {
  std::vector<SubjectLimits> all;
  AIB_RETURN_IF_ERROR(session.Query(kSelectLimits, {tenant}, [&](const Row& row) {
    const std::string name = row.Text(0);
    all.push_back({name, row.Text(1), LimitsOfColumn(row.Text(2), absl::StrCat("tenant ", name))});
  }));
  return all;
}

}  // namespace aibackend::access
