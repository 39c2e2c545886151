#include "server/chat/keyed_turns.h"

#include <algorithm>
#include <deque>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "server/base/status.h"

namespace aibackend::chat {
namespace {

// Of an answer in memory, however short the window is: its row is queued, and who asks again before
// it is written would find the key free, and pay twice.
constexpr absl::Duration kInMemoryMin = absl::Minutes(1);

absl::Status Reused() {
  return MakeError(Reason::IDEMPOTENCY_KEY_REUSED,
                   "this idempotency-key came before with another request");
}

absl::Status NotFound() {
  return MakeError(Reason::STREAM_NOT_FOUND,
                   "there is no stream of this idempotency-key that has come this far; "
                   "ask without last-event-id for the whole answer");
}

// The feed of an answer that is there already.
std::shared_ptr<TurnFeed> FeedOf(TurnResult result) {
  auto feed = std::make_shared<TurnFeed>(TurnFeed::Keep::kWhole);
  const Answer& answer = result.answer;
  std::vector<models::ToolCallDelta> calls;
  for (const models::ToolCall& call : answer.tool_calls) {
    calls.push_back({static_cast<int>(calls.size()), call.id, call.name, call.arguments});
  }
  models::Delta delta(answer.text);
  delta.reasoning = answer.reasoning;
  delta.tool_calls = calls;
  delta.logprobs = answer.logprobs;
  feed->OnDelta(delta);
  feed->OnDone(std::move(result));
  return feed;
}

}  // namespace

struct KeyedTurns::Impl : std::enable_shared_from_this<Impl> {
  struct Entry;
  class Sink;
  struct Waiter {
    Question question;
    OnSeat on_seat;
  };
  using Answered = std::vector<std::pair<OnSeat, absl::StatusOr<Seat>>>;

  Impl(ChatService& c, KeptAnswers& a, Executor& e, Timer& t, Clock& k, Options o)
      : chat(c), answers(a), executor(e), timer(t), clock(k), options(o) {}

  void Ask(Waiter waiter);
  absl::optional<absl::StatusOr<Seat>> FromMemory(const Question& question)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  bool Queue(Waiter& waiter) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void LookUp(const std::string& key);
  void Refuse(const std::string& key, const absl::Status& status);
  std::vector<Waiter> TakeWaiters(const std::string& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);

  absl::StatusOr<Seat> JoinOrBegin(Question question) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  absl::StatusOr<Seat> Join(const std::shared_ptr<Entry>& entry, const Question& question)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  Seat SeatAt(const std::shared_ptr<Entry>& entry, bool is_first)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void Leave(const std::shared_ptr<Entry>& entry);
  void Abandon(const std::shared_ptr<Entry>& entry, int64_t vacancy);

  void End(const std::shared_ptr<Entry>& entry, TurnResult result);
  void FreeKey(const Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void DropOld() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void Stop();

  ChatService& chat;
  KeptAnswers& answers;
  Executor& executor;
  Timer& timer;
  Clock& clock;
  const Options options;

  absl::Mutex mutex;
  absl::flat_hash_map<std::string, std::shared_ptr<Entry>> entries
      ABSL_GUARDED_BY(mutex);  // by key: that run, and those in `kept`
  std::deque<std::shared_ptr<Entry>> kept ABSL_GUARDED_BY(mutex);  // oldest first
  size_t kept_bytes ABSL_GUARDED_BY(mutex) = 0;
  // Questions that wait for the database, by key, in their order.
  absl::flat_hash_map<std::string, std::vector<Waiter>> lookups ABSL_GUARDED_BY(mutex);
  int running ABSL_GUARDED_BY(mutex) = 0;  // turns, also those whose key is free again
  bool stopping ABSL_GUARDED_BY(mutex) = false;
};

// One turn. What is not const belongs to the owner's mutex, where nothing else is said.
struct KeyedTurns::Impl::Entry {
  explicit Entry(Question& question)
      : key(question.key),
        fingerprint(question.fingerprint),
        request_id(question.turn.generate.request_id),
        on_end(std::move(question.on_end)) {}

  const std::string key;
  const std::string fingerprint;
  const std::string request_id;
  std::function<void(const TurnResult&)> on_end;  // the turn's
  const std::shared_ptr<TurnFeed> feed = std::make_shared<TurnFeed>(TurnFeed::Keep::kWhole);

  std::shared_ptr<Turn> turn;  // while it runs
  int seats = 0;
  int64_t vacancies = 0;  // how often the last reader has left
  Timer::Handle abandon_timer = 0;
  absl::Time ended_at;
  size_t bytes = 0;  // in memory, once it is kept
};

class KeyedTurns::Impl::Sink final : public TurnSink {
 public:
  Sink(std::shared_ptr<Impl> owner, std::shared_ptr<Entry> entry)
      : owner_(std::move(owner)), entry_(std::move(entry)) {}
  void OnCacheAsked(bool found) override { entry_->feed->OnCacheAsked(found); }
  void OnDelta(const models::Delta& delta) override { entry_->feed->OnDelta(delta); }
  void OnDone(TurnResult result) override { owner_->End(entry_, std::move(result)); }

 private:
  const std::shared_ptr<Impl> owner_;
  const std::shared_ptr<Entry> entry_;
};

void KeyedTurns::Impl::Ask(Waiter waiter) {
  const std::string key = waiter.question.key;
  absl::optional<absl::StatusOr<Seat>> seat;
  bool is_first = false;
  {
    absl::MutexLock lock(&mutex);
    seat = FromMemory(waiter.question);
    if (!seat) is_first = Queue(waiter);
  }
  if (seat) return waiter.on_seat(*std::move(seat));
  if (is_first && !executor.TrySubmit([self = shared_from_this(), key] { self->LookUp(key); })) {
    Refuse(key, WithRetryAfter(MakeError(Reason::OVERLOADED, "too many calls are waiting"),
                               absl::Seconds(1)));
  }
}

// Nothing where the database must be asked.
absl::optional<absl::StatusOr<KeyedTurns::Seat>> KeyedTurns::Impl::FromMemory(
    const Question& question) {
  DropOld();
  if (stopping) return MakeError(Reason::DRAINING, "the server is shutting down");
  const auto found = entries.find(question.key);
  if (found != entries.end()) return Join(found->second, question);
  if (question.after) return NotFound();
  return absl::nullopt;
}

// Takes the waiter. True: it is the first of its key.
bool KeyedTurns::Impl::Queue(Waiter& waiter) {
  std::vector<Waiter>& waiters = lookups[waiter.question.key];
  waiters.push_back(std::move(waiter));
  return waiters.size() == 1;
}

std::vector<KeyedTurns::Impl::Waiter> KeyedTurns::Impl::TakeWaiters(const std::string& key) {
  const auto found = lookups.find(key);
  std::vector<Waiter> waiters = std::move(found->second);
  lookups.erase(found);
  return waiters;
}

void KeyedTurns::Impl::Refuse(const std::string& key, const absl::Status& status) {
  std::vector<Waiter> waiters;
  {
    absl::MutexLock lock(&mutex);
    waiters = TakeWaiters(key);
  }
  for (const Waiter& waiter : waiters) waiter.on_seat(status);
}

// On the executor. Those who asked meanwhile are answered in their order: where the database has
// nothing, the first of them begins the turn and the others join it.
void KeyedTurns::Impl::LookUp(const std::string& key) {
  auto found = answers.Find(key);
  if (!found.ok()) return Refuse(key, found.status());
  Answered answered;
  {
    absl::MutexLock lock(&mutex);
    std::vector<Waiter> waiters = TakeWaiters(key);
    const auto feed = *found ? FeedOf(std::move((*found)->result)) : nullptr;
    for (Waiter& waiter : waiters) {
      absl::StatusOr<Seat> seat;
      if (!feed) {
        seat = JoinOrBegin(std::move(waiter.question));
      } else if (waiter.question.fingerprint != (*found)->fingerprint) {
        seat = Reused();
      } else {
        seat = Seat{feed, (*found)->request_id, false, nullptr};
      }
      answered.emplace_back(std::move(waiter.on_seat), std::move(seat));
    }
  }
  for (auto& [on_seat, seat] : answered) on_seat(std::move(seat));
}

absl::StatusOr<KeyedTurns::Seat> KeyedTurns::Impl::JoinOrBegin(Question question) {
  if (stopping) return MakeError(Reason::DRAINING, "the server is shutting down");
  const auto found = entries.find(question.key);
  if (found != entries.end()) return Join(found->second, question);
  auto entry = std::make_shared<Entry>(question);
  auto sink = std::make_shared<Sink>(shared_from_this(), entry);
  // Its end waits for the mutex, so that it finds the entry.
  AIB_ASSIGN_OR_RETURN(entry->turn, chat.Start(std::move(question.turn), std::move(sink)));
  ++running;
  entries.emplace(entry->key, entry);
  return SeatAt(entry, /*is_first=*/true);
}

absl::StatusOr<KeyedTurns::Seat> KeyedTurns::Impl::Join(const std::shared_ptr<Entry>& entry,
                                                        const Question& question) {
  if (entry->fingerprint != question.fingerprint) return Reused();
  return SeatAt(entry, /*is_first=*/false);
}

KeyedTurns::Seat KeyedTurns::Impl::SeatAt(const std::shared_ptr<Entry>& entry, bool is_first) {
  if (entry->seats++ == 0 && entry->vacancies > 0) timer.Cancel(entry->abandon_timer);
  std::shared_ptr<void> hold(nullptr,
                             [self = shared_from_this(), entry](void*) { self->Leave(entry); });
  return {entry->feed, entry->request_id, is_first, std::move(hold)};
}

void KeyedTurns::Impl::Leave(const std::shared_ptr<Entry>& entry) {
  absl::MutexLock lock(&mutex);
  if (--entry->seats > 0 || !entry->turn) return;
  entry->abandon_timer = timer.After(
      options.resume_window,
      [self = weak_from_this(), weak = std::weak_ptr(entry), vacancy = ++entry->vacancies] {
        const auto owner = self.lock();
        const auto alive = weak.lock();
        if (owner && alive) owner->Abandon(alive, vacancy);
      });
}

// The key is free from here on: who asks now must not join a turn that is being cancelled.
void KeyedTurns::Impl::Abandon(const std::shared_ptr<Entry>& entry, int64_t vacancy) {
  std::shared_ptr<Turn> turn;
  {
    absl::MutexLock lock(&mutex);
    if (entry->seats > 0 || entry->vacancies != vacancy || !entry->turn) return;
    turn = entry->turn;
    FreeKey(*entry);
  }
  turn->Cancel();
}

void KeyedTurns::Impl::FreeKey(const Entry& entry) {
  const auto found = entries.find(entry.key);
  if (found != entries.end() && found->second.get() == &entry) entries.erase(found);
}

// In this order: the account, the key or its answer, the readers.
void KeyedTurns::Impl::End(const std::shared_ptr<Entry>& entry, TurnResult result) {
  if (entry->on_end) std::exchange(entry->on_end, nullptr)(result);
  const bool succeeded = result.status.ok();
  {
    absl::MutexLock lock(&mutex);
    entry->turn = nullptr;
    entry->ended_at = clock.Now();
    if (!succeeded) FreeKey(*entry);
  }
  if (succeeded) answers.Put(entry->key, entry->fingerprint, entry->request_id, result);
  entry->feed->OnDone(std::move(result));
  absl::MutexLock lock(&mutex);
  if (succeeded) {
    entry->bytes = entry->feed->memory_bytes();
    kept_bytes += entry->bytes;
    kept.push_back(entry);
    DropOld();
  }
  --running;
}

void KeyedTurns::Impl::DropOld() {
  const absl::Time until = clock.Now() - std::max(options.resume_window, kInMemoryMin);
  while (!kept.empty() &&
         (kept_bytes > options.kept_bytes_max || kept.front()->ended_at <= until)) {
    kept_bytes -= kept.front()->bytes;
    FreeKey(*kept.front());
    kept.pop_front();
  }
}

void KeyedTurns::Impl::Stop() {
  std::vector<std::shared_ptr<Turn>> turns;
  {
    absl::MutexLock lock(&mutex);
    stopping = true;
    for (const auto& [key, entry] : entries) {
      if (entry->turn) turns.push_back(entry->turn);
    }
  }
  for (const auto& turn : turns) turn->Cancel();
  absl::MutexLock lock(&mutex);
  mutex.Await(absl::Condition(
      +[](Impl* impl)
           ABSL_NO_THREAD_SAFETY_ANALYSIS { return impl->running == 0 && impl->lookups.empty(); },
      this));
}

KeyedTurns::KeyedTurns(ChatService& chat, KeptAnswers& answers, Executor& executor, Timer& timer,
                       Clock& clock, Options options)
    : impl_(std::make_shared<Impl>(chat, answers, executor, timer, clock, options)) {}

KeyedTurns::~KeyedTurns() {
  impl_->Stop();
}

void KeyedTurns::Ask(Question question, OnSeat on_seat) {
  impl_->Ask({std::move(question), std::move(on_seat)});
}

}  // namespace aibackend::chat
