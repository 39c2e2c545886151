// Writes that nobody waits for, many to a transaction: what the ledger uses, so that the database
// is not in an answer's path.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/storage/database.h"

namespace aibackend::storage {

// One thread that commits everything queued, every `interval` or when `batch_max` wait.
// Thread-safe.
//
// After a commit of `busy_from` writes or more it waits for `busy_interval`: pages are then written
// less often, and a row that begins and ends meanwhile is written once.
//
// Writes are applied in the order they were queued. While the database is unavailable they stay
// queued and are tried again (full-jitter backoff); a full queue refuses new ones. A write that
// fails for another reason is dropped alone, with an error in the log: the rest of its batch is
// kept.
class GroupWriter {
 public:
  struct Options {
    absl::Duration interval = absl::Milliseconds(5);
    size_t batch_max = 512;
    size_t queue_max = 200'000;               // about 200 MB of rows with content
    absl::Duration drain = absl::Seconds(5);  // how long the destructor tries
    absl::Duration busy_interval = absl::Milliseconds(20);
    size_t busy_from = 16;
  };
  // May run more than once, like the work of Database::Write; must change no state outside its
  // session that a second run would count twice.
  using Write = std::function<absl::Status(Session&)>;
  // Told why a write was dropped after it was queued. Called on the writer's thread; must not
  // block.
  using OnDropped = std::function<void(const absl::Status&)>;
  // For who keeps what is queued safe while the database is away. Called on the writer's thread,
  // which commits nothing meanwhile; may call Enqueue, not Flush.
  struct Hooks {
    // A commit failed because the database is unavailable, and nothing of it was kept. Called each
    // time, before the pause or, when stopping, before the writer gives up.
    std::function<void()> on_unavailable;
    // A batch was dealt with while the database was there: each of its writes was committed, or
    // dropped for a reason of its own. Called after Flush was told; and as CallDoneAfter says.
    std::function<void()> on_batch_done;
  };

  GroupWriter(Database& database, Options options);
  // Commits what is queued. While the database is unavailable it tries on for `drain`, then drops
  // the rest and logs how much that was.
  ~GroupWriter();

  // Replaces the hooks. What is queued before may miss a call.
  void SetHooks(Hooks hooks);

  // Queues `write` and returns at once. False when the queue is full, or the time to drain is over:
  // the caller decides what to lose, and logs it (`on_dropped` is not called then).
  [[nodiscard]] bool Enqueue(Write write, OnDropped on_dropped = {});

  // The hook on_batch_done is called once this has passed, or before that after a batch; not where
  // the writer stops first. Of several times the earliest holds. May be called from a hook.
  void CallDoneAfter(absl::Duration pause);

  // Writes that aren't committed yet.
  size_t waiting() const;

  // Commits everything queued before this call without waiting for the interval. True when that is
  // done; false when `timeout` passed first.
  bool Flush(absl::Duration timeout);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace aibackend::storage
