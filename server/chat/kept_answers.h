// The answers that an idempotency-key may ask for again, in the database.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/optional.h"
#include "server/base/clock.h"
#include "server/chat/chat_service.h"
#include "server/storage/database.h"
#include "server/storage/group_writer.h"

namespace aibackend::chat {

// An answer as bytes: the edge's, which has a message for it. `decode` gives nothing for bytes that
// `encode` didn't make.
struct AnswerCodec {
  std::function<std::string(const TurnResult&, const std::string& request_id)> encode;
  std::function<absl::optional<TurnResult>(const std::string& bytes)> decode;
};

struct KeptAnswer {
  std::string fingerprint;  // of the request
  std::string request_id;
  TurnResult result;
};

// Thread-safe. Rows are kept for a day, and purged at the start and every hour with a new one.
class KeptAnswers {
 public:
  // `database`, `writer` and `clock` outlive it.
  KeptAnswers(storage::Database& database, storage::GroupWriter& writer, Clock& clock,
              AnswerCodec codec);

  // Blocks on the database. Nothing where there is no answer, or one that can't be read.
  absl::StatusOr<absl::optional<KeptAnswer>> Find(const std::string& key);

  // Queues it, in the place of an older one of the key. It stands there when the writer has come
  // by.
  void Put(const std::string& key, const std::string& fingerprint, const std::string& request_id,
           const TurnResult& result);

 private:
  void PurgeNowAndThen();

  storage::Database& database_;
  storage::GroupWriter& writer_;
  Clock& clock_;
  const AnswerCodec codec_;
  absl::Mutex mutex_;
  absl::Time purged_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

}  // namespace aibackend::chat
