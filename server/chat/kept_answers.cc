#include "server/chat/kept_answers.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "server/base/status.h"
#include "spdlog/spdlog.h"

namespace aibackend::chat {
namespace {

using storage::Row;
using storage::Session;

constexpr absl::Duration kKeptFor = absl::Hours(24);  // the contract's promise
constexpr absl::Duration kPurgeEvery = absl::Hours(1);

}  // namespace

KeptAnswers::KeptAnswers(storage::Database& database, storage::GroupWriter& writer, Clock& clock,
                         AnswerCodec codec)
    : database_(database), writer_(writer), clock_(clock), codec_(std::move(codec)) {
  PurgeNowAndThen();
}

absl::StatusOr<absl::optional<KeptAnswer>> KeptAnswers::Find(const std::string& key) {
  absl::optional<KeptAnswer> answer;
  std::string stored;
  AIB_RETURN_IF_ERROR(database_.Read([&](Session& session) {
    answer.reset();
    return session.Query(
        "SELECT fingerprint, request_id, response FROM idempotency"
        " WHERE key = $1 AND created_at > $2",
        {key, absl::ToUnixMicros(clock_.Now() - kKeptFor)}, [&](const Row& row) {
          answer.emplace();
          answer->fingerprint = row.Text(0);
          answer->request_id = row.Text(1);
          stored = row.Text(2);
        });
  }));
  if (!answer) return answer;
  std::string bytes;
  absl::optional<TurnResult> result;
  if (absl::Base64Unescape(stored, &bytes)) result = codec_.decode(bytes);
  if (!result) {
    spdlog::warn("chat: the stored answer of request {} can't be read; it is asked for anew",
                 answer->request_id);
    return absl::optional<KeptAnswer>();
  }
  answer->result = *std::move(result);
  return answer;
}

void KeptAnswers::Put(const std::string& key, const std::string& fingerprint,
                      const std::string& request_id, const TurnResult& result) {
  auto write = [key, fingerprint, request_id,
                response = absl::Base64Escape(codec_.encode(result, request_id)),
                now = absl::ToUnixMicros(clock_.Now())](Session& session) {
    return session
        .Execute(
            "INSERT INTO idempotency (key, fingerprint, request_id, response, created_at)"
            " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (key) DO UPDATE SET"
            " fingerprint = excluded.fingerprint, request_id = excluded.request_id,"
            " response = excluded.response, created_at = excluded.created_at",
            {key, fingerprint, request_id, response, now})
        .status();
  };
  if (!writer_.Enqueue(std::move(write))) {
    spdlog::error("chat: the answer of request {} is not kept: the writer's queue is full",
                  request_id);
  }
  PurgeNowAndThen();
}

void KeptAnswers::PurgeNowAndThen() {
  const absl::Time now = clock_.Now();
  {
    absl::MutexLock lock(&mutex_);
    if (now - purged_at_ < kPurgeEvery) return;
    purged_at_ = now;
  }
  const bool queued =
      writer_.Enqueue([until = absl::ToUnixMicros(now - kKeptFor)](Session& session) {
        return session.Execute("DELETE FROM idempotency WHERE created_at <= $1", {until}).status();
      });
  if (!queued) spdlog::warn("chat: old answers are purged an hour later: the queue is full");
}

}  // namespace aibackend::chat
