#include "server/access/jwt_verifier.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/access/key_text.h"
#include "server/base/status.h"
#include "server/base/text.h"
#include "spdlog/spdlog.h"

namespace aibackend::access {
namespace {

constexpr size_t kTokenBytesMax = 8 << 10;  // what a proxy lets through as one header
constexpr size_t kFileBytesMax = 1 << 20;
constexpr absl::Duration kLookInterval = absl::Seconds(1);

// Tells one content of a file from another, without reading it.
using Stamp = std::tuple<dev_t, ino_t, off_t, int64_t, int64_t>;

absl::optional<Stamp> StampOf(const std::string& path) {
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0) return absl::nullopt;
  return Stamp(info.st_dev, info.st_ino, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string content(kFileBytesMax + 1, '\0');
  file.read(content.data(), static_cast<std::streamsize>(content.size()));
  if (file.bad() || !file.is_open()) return MakeError(Reason::FIELD_INVALID, "can't be read");
  content.resize(static_cast<size_t>(file.gcount()));
  if (content.size() > kFileBytesMax) return MakeError(Reason::FIELD_INVALID, "is too large");
  return content;
}

}  // namespace

struct JwtVerifier::Trust {
  struct Remembered {
    std::shared_ptr<const Principal> principal;
    absl::Time expires_at;
  };
  using Tokens = absl::flat_hash_map<Digest, Remembered>;

  static absl::StatusOr<std::shared_ptr<Trust>> Read(JwtKeyFormat format, const std::string& path);

  std::shared_ptr<const Principal> Recall(const Digest& token, absl::Time now, size_t max);
  void Remember(const Digest& token, Remembered remembered, size_t max);

  absl::optional<Stamp> stamp;  // of the file, from before it was read
  JwtKeySet keys;

  void MakeRoom(size_t max) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);

  absl::Mutex mutex;
  // Two halves: when `young` is full it becomes `old`, and what nobody asked for since goes.
  Tokens young ABSL_GUARDED_BY(mutex);
  Tokens old ABSL_GUARDED_BY(mutex);
};

absl::StatusOr<std::shared_ptr<JwtVerifier::Trust>> JwtVerifier::Trust::Read(
    JwtKeyFormat format, const std::string& path) {
  auto trust = std::make_shared<Trust>();
  trust->stamp = StampOf(path);
  absl::StatusOr<std::string> content = ReadFile(path);
  absl::StatusOr<JwtKeySet> keys =
      content.ok() ? ReadJwtKeys(format, *content) : absl::StatusOr<JwtKeySet>(content.status());
  if (!keys.ok()) {
    return MakeError(Reason::FIELD_INVALID, absl::StrCat(path, ": ", keys.status().message()));
  }
  trust->keys = *std::move(keys);
  return trust;
}

std::shared_ptr<const Principal> JwtVerifier::Trust::Recall(const Digest& token, absl::Time now,
                                                            size_t max) {
  absl::MutexLock lock(&mutex);
  auto found = young.find(token);
  if (found == young.end()) {
    const auto in_old = old.find(token);
    if (in_old == old.end()) return nullptr;
    Remembered remembered = std::move(in_old->second);
    old.erase(in_old);
    if (remembered.expires_at <= now) return nullptr;
    MakeRoom(max);
    found = young.emplace(token, std::move(remembered)).first;
  }
  return found->second.expires_at > now ? found->second.principal : nullptr;
}

void JwtVerifier::Trust::Remember(const Digest& token, Remembered remembered, size_t max) {
  absl::MutexLock lock(&mutex);
  MakeRoom(max);
  young[token] = std::move(remembered);
}

void JwtVerifier::Trust::MakeRoom(size_t max) {
  if (young.size() < std::max<size_t>(1, max / 2)) return;
  old = std::move(young);
  young.clear();
}

absl::StatusOr<std::unique_ptr<JwtVerifier>> JwtVerifier::Open(Clock& clock, Options options) {
  AIB_ASSIGN_OR_RETURN(std::shared_ptr<Trust> trust, Trust::Read(options.format, options.key_file));
  return std::unique_ptr<JwtVerifier>(new JwtVerifier(clock, std::move(options), std::move(trust)));
}

JwtVerifier::JwtVerifier(Clock& clock, Options options, std::shared_ptr<Trust> trust)
    : clock_(clock),
      options_(std::move(options)),
      trust_(std::move(trust)),
      look_at_(clock.Now() + kLookInterval) {}

JwtVerifier::~JwtVerifier() = default;

bool JwtVerifier::LooksLikeToken(absl::string_view text) {
  return absl::StartsWith(text, "ey") && std::count(text.begin(), text.end(), '.') == 2;
}

absl::StatusOr<std::shared_ptr<const Principal>> JwtVerifier::Verify(absl::string_view token) {
  if (token.size() > kTokenBytesMax) {
    return MakeError(Reason::KEY_INVALID,
                     absl::StrCat("it has more than ", kTokenBytesMax, " bytes"));
  }
  const absl::Time now = clock_.Now();
  const std::shared_ptr<Trust> trust = CurrentTrust(now);
  const Digest digest = DigestOf(token);
  if (auto principal = trust->Recall(digest, now, options_.remembered_max)) return principal;
  {
    absl::MutexLock lock(&mutex_);
    ++checks_;
  }
  AIB_ASSIGN_OR_RETURN(const std::string payload, VerifiedPayload(trust->keys, token));
  AIB_ASSIGN_OR_RETURN(JwtSubject subject, ReadClaims(payload, options_.rules, now));
  // Into what its keys belong to: if these were replaced meanwhile, it is forgotten with them.
  trust->Remember(digest, {subject.principal, subject.expires_at}, options_.remembered_max);
  return subject.principal;
}

int64_t JwtVerifier::checks() const {
  absl::MutexLock lock(&mutex_);
  return checks_;
}

std::shared_ptr<JwtVerifier::Trust> JwtVerifier::CurrentTrust(absl::Time now) {
  std::shared_ptr<Trust> trust;
  {
    absl::MutexLock lock(&mutex_);
    // A clock that was set back must not put the next look off by as much.
    if (now < look_at_ && now + kLookInterval >= look_at_) return trust_;
    look_at_ = now + kLookInterval;  // the others go on with what there is
    trust = trust_;
  }
  absl::MutexLock file_lock(&file_mutex_);
  LookAtFile(*trust);
  absl::MutexLock lock(&mutex_);
  return trust_;
}

void JwtVerifier::LookAtFile(const Trust& current) {
  const absl::optional<Stamp> stamp = StampOf(options_.key_file);
  if (stamp && stamp == current.stamp) return;
  absl::StatusOr<std::shared_ptr<Trust>> next = Trust::Read(options_.format, options_.key_file);
  if (!next.ok()) {
    // Asked again in a second: it may be half written.
    if (!is_warned_) {
      spdlog::warn("access: the keys of tokens stay as they were: {}",
                   ToStd(next.status().message()));
    }
    is_warned_ = true;
    return;
  }
  is_warned_ = false;
  spdlog::info("access: {} keys of tokens were read again", (*next)->keys.keys.size());
  absl::MutexLock lock(&mutex_);
  trust_ = *std::move(next);
}

}  // namespace aibackend::access
