// Turns that came with an idempotency-key: one turn a key, for all who ask with it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "server/base/clock.h"
#include "server/base/executor.h"
#include "server/base/timer.h"
#include "server/chat/chat_service.h"
#include "server/chat/kept_answers.h"
#include "server/chat/turn_feed.h"

namespace aibackend::chat {

// Thread-safe. A key is free, or taken by a turn that runs, or by the answer of one that succeeded:
// in memory for `resume_window`, a minute at least, then in the database for a day. A turn that
// fails frees its key, and all who had joined it get its error.
//
// A turn goes on without anybody who reads it, but no longer than `resume_window`.
class KeyedTurns {
 public:
  struct Options {
    absl::Duration resume_window = absl::Minutes(5);
    size_t kept_bytes_max = size_t{64} << 20;  // of ended turns in memory; the oldest go first
  };

  struct Question {
    std::string key;          // of this caller: who must not share answers must not share keys
    std::string fingerprint;  // equal for equal requests
    absl::optional<int64_t> after;  // go on after this position: what isn't in memory can't
    TurnRequest turn;
    // Told how the turn ended, before its readers are; only where this question began the turn.
    std::function<void(const TurnResult&)> on_end;
  };

  // A place at a turn: attach a reader to `feed`. Without a holder the turn's time runs out.
  struct Seat {
    std::shared_ptr<TurnFeed> feed;
    std::string request_id;  // of the question that began the turn
    bool is_first = false;   // that question is this one
    std::shared_ptr<void> hold;
  };
  using OnSeat = std::function<void(absl::StatusOr<Seat>)>;

  // All references outlive it.
  KeyedTurns(ChatService& chat, KeptAnswers& answers, Executor& executor, Timer& timer,
             Clock& clock, Options options);
  // Cancels what runs and waits for its end.
  ~KeyedTurns();

  // `on_seat` is called once: inside Ask where memory has the key, else on the executor, after a
  // look into the database. Errors: those of ChatService::Start, IDEMPOTENCY_KEY_REUSED,
  // STREAM_NOT_FOUND (only with `after`), DATABASE_UNAVAILABLE (whether the key has an answer isn't
  // known), OVERLOADED, DRAINING.
  void Ask(Question question, OnSeat on_seat);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;  // shared with callbacks under way
};

}  // namespace aibackend::chat
