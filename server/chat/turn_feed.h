// A turn's events, kept in order for those who read them at their own pace.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/inlined_vector.h"
#include "absl/synchronization/mutex.h"
#include "server/chat/chat_service.h"

namespace aibackend::chat {

// What a reader takes: everything of one kind that stands together.
struct FeedEvent {
  enum class Kind : uint8_t { kText, kReasoning, kToolCall };
  Kind kind = Kind::kText;
  std::string text;                            // of kText and kReasoning
  std::vector<models::TokenLogprob> logprobs;  // of kText
  models::ToolCallDelta tool_call;             // of kToolCall
  int64_t sequence = 0;                        // the position after it
};

// Who reads a feed. Its owner has it in hand until Take() says kWait; then the feed has it, until
// it calls OnNews() or Leave() gives it back. It outlives the time that the feed has it.
class FeedReader {
 public:
  virtual ~FeedReader() = default;
  // There is more, or the end. Called without a lock, on the turn's thread.
  virtual void OnNews() = 0;

 private:
  friend class TurnFeed;
  // Guarded by the feed's mutex.
  size_t next_piece_ = 0;
  bool end_only_ = false;
  bool left_ = false;
};

// Thread-safe, but for one reader's calls of Take(), which its owner makes one at a time.
//
// A position counts the pieces before it: a delta is a piece for each kind that it holds, and for
// each tool call.
class TurnFeed final : public TurnSink {
 public:
  enum class Keep {
    kEndOnly,    // no events: for a reader of the end
    kUntilRead,  // for one reader: memory is what it hasn't taken, at most the answer
    kWhole,      // for any number of readers, from any position
  };
  enum class Next { kEvent, kEnd, kWait, kLeft };

  explicit TurnFeed(Keep keep) : keep_(keep) {}

  void OnCacheAsked(bool found) override { cache_ = found ? Cache::kHit : Cache::kMiss; }
  void OnDelta(const models::Delta& delta) override;
  void OnDone(TurnResult result) override;

  // Once for each reader, before its first Take(). False where `after` is a position that the feed
  // hasn't reached; one beyond the last piece stands for the end itself. Only a kWhole feed is read
  // from a position other than 0.
  bool Attach(FeedReader& reader, int64_t after = 0);
  // The same for one that waits for the end alone.
  void AttachForEnd(FeedReader& reader);

  // Takes what comes next. kEvent: `event` is filled. kEnd: result() may be read.
  // kWait: OnNews() will follow. kLeft: the reader has left.
  Next Take(FeedReader& reader, FeedEvent* event);

  // The reader wants no more. True: the feed had it and gives it back, OnNews() will not come.
  // False: its owner has it, or has it in a moment, and meets kLeft at the next Take().
  bool Leave(FeedReader& reader);

  // What is known of it once the first event is there, or the end.
  enum class Cache : uint8_t { kNotAsked, kMiss, kHit };
  Cache cache() const { return cache_; }

  // Only after the end; then they don't change any more.
  const TurnResult& result() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return result_; }
  int64_t end_sequence() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return sequence_ + 1; }

  // What the feed holds in memory, about.
  size_t memory_bytes() const;

 private:
  using Readers = absl::InlinedVector<FeedReader*, 1>;

  struct Piece {
    int64_t sequence = 0;   // the position after it
    size_t bytes_end = 0;   // in bytes_
    size_t tokens_end = 0;  // in logprobs_
    int32_t tool_index = 0;
    int32_t head = -1;  // in heads_, for a tool call's piece that has id or name
    FeedEvent::Kind kind = FeedEvent::Kind::kText;
  };

  void Append(Piece piece, absl::string_view text, absl::Span<const models::TokenLogprob> logprobs)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AppendToolCall(const models::ToolCallDelta& call) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Piece EndBefore(size_t piece) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Joins(size_t first, const Piece& next) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Fill(size_t first, size_t last, FeedEvent& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Keep keep_;
  std::atomic<Cache> cache_{Cache::kNotAsked};
  mutable absl::Mutex mutex_;
  std::string bytes_ ABSL_GUARDED_BY(mutex_);  // of all kinds, in order
  std::vector<models::TokenLogprob> logprobs_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::pair<std::string, std::string>> heads_ ABSL_GUARDED_BY(mutex_);  // id, name
  std::vector<Piece> pieces_ ABSL_GUARDED_BY(mutex_);
  int64_t sequence_ ABSL_GUARDED_BY(mutex_) = 0;  // of the last piece
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  TurnResult result_ ABSL_GUARDED_BY(mutex_);
  Readers waiting_ ABSL_GUARDED_BY(mutex_);
  Readers waiting_for_end_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace aibackend::chat
