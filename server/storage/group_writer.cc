#include "server/storage/group_writer.h"

#include <algorithm>
#include <deque>
#include <iterator>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/random/random.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/types/optional.h"
#include "server/base/status.h"
#include "server/base/text.h"
#include "spdlog/spdlog.h"

namespace aibackend::storage {
namespace {

// While the database is unavailable: uniform over 0 to the pause (full jitter), doubled each time.
constexpr absl::Duration kPauseStart = absl::Milliseconds(50);
constexpr absl::Duration kPauseMax = absl::Seconds(2);

struct Queued {
  GroupWriter::Write write;
  GroupWriter::OnDropped on_dropped;
};

void Drop(absl::Span<const Queued> writes, const absl::Status& status) {
  spdlog::error("storage: {} queued writes dropped: {} {}", writes.size(),
                ReasonName(ReasonOf(status)), ToStd(status.message()));
  for (const Queued& queued : writes) {
    if (queued.on_dropped) queued.on_dropped(status);
  }
}

}  // namespace

struct GroupWriter::Impl {
  Impl(Database& db, Options opts) : database(db), options(opts), thread([this] { Run(); }) {}

  void Run();
  absl::optional<std::vector<Queued>> NextBatch();
  absl::Status Commit(absl::Span<const Queued> batch);
  void DropQueue(const absl::Status& status);
  absl::Status WriteAll(absl::Span<const Queued> writes);
  bool PauseBeforeRetry(absl::Duration& pause);
  void Call(std::function<void()> Hooks::*hook);
  void CountFinished(size_t writes);

  Database& database;
  const Options options;

  absl::Mutex mutex;
  absl::CondVar work_changed;   // for the thread
  absl::CondVar work_finished;  // for Flush
  std::deque<Queued> queue ABSL_GUARDED_BY(mutex);
  size_t in_batch ABSL_GUARDED_BY(mutex) = 0;        // taken off the queue, not finished
  uint64_t queued_count ABSL_GUARDED_BY(mutex) = 0;  // since the start
  uint64_t finished_count ABSL_GUARDED_BY(mutex) = 0;
  uint64_t flush_to ABSL_GUARDED_BY(mutex) = 0;        // a count: commit at once up to it
  absl::Time oldest_queued_at ABSL_GUARDED_BY(mutex);  // of `queue`
  absl::Time call_done_at ABSL_GUARDED_BY(mutex) = absl::InfiniteFuture();
  absl::Time give_up_at ABSL_GUARDED_BY(mutex) = absl::InfiniteFuture();  // set when stopping
  bool stopping ABSL_GUARDED_BY(mutex) = false;
  std::shared_ptr<const Hooks> hooks ABSL_GUARDED_BY(mutex) = std::make_shared<Hooks>();

  absl::Duration interval = options.interval;  // the thread's, as is `random`
  absl::BitGen random;
  std::thread thread;  // last: it uses the others
};

GroupWriter::GroupWriter(Database& database, Options options)
    : impl_(std::make_unique<Impl>(database, options)) {}

GroupWriter::~GroupWriter() {
  {
    absl::MutexLock lock(&impl_->mutex);
    impl_->stopping = true;
    impl_->give_up_at = absl::Now() + impl_->options.drain;
    impl_->work_changed.Signal();
  }
  impl_->thread.join();
}

void GroupWriter::SetHooks(Hooks hooks) {
  auto shared = std::make_shared<const Hooks>(std::move(hooks));
  absl::MutexLock lock(&impl_->mutex);
  impl_->hooks.swap(shared);
}

bool GroupWriter::Enqueue(Write write, OnDropped on_dropped) {
  absl::MutexLock lock(&impl_->mutex);
  if (impl_->stopping && absl::Now() >= impl_->give_up_at) return false;
  if (impl_->queue.size() + impl_->in_batch >= impl_->options.queue_max) return false;
  if (impl_->queue.empty()) impl_->oldest_queued_at = absl::Now();
  impl_->queue.push_back({std::move(write), std::move(on_dropped)});
  ++impl_->queued_count;
  const size_t waiting = impl_->queue.size();
  if (waiting == 1 || waiting == impl_->options.batch_max) impl_->work_changed.Signal();
  return true;
}

void GroupWriter::CallDoneAfter(absl::Duration pause) {
  absl::MutexLock lock(&impl_->mutex);
  impl_->call_done_at = std::min(impl_->call_done_at, absl::Now() + pause);
  impl_->work_changed.Signal();
}

size_t GroupWriter::waiting() const {
  absl::MutexLock lock(&impl_->mutex);
  return impl_->queue.size() + impl_->in_batch;
}

bool GroupWriter::Flush(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  absl::MutexLock lock(&impl_->mutex);
  const uint64_t target = impl_->queued_count;
  impl_->flush_to = std::max(impl_->flush_to, target);
  impl_->work_changed.Signal();
  while (impl_->finished_count < target) {
    if (impl_->work_finished.WaitWithDeadline(&impl_->mutex, deadline)) break;
  }
  return impl_->finished_count >= target;
}

void GroupWriter::Impl::Run() {
  for (;;) {
    const auto batch = NextBatch();
    if (!batch) return;
    if (absl::Status gave_up = Commit(*batch); !gave_up.ok()) return DropQueue(gave_up);
    Call(&Hooks::on_batch_done);
  }
}

// Waits for work and for its time. Empty when it is time for the hook alone, absent when stopping
// and nothing is left.
absl::optional<std::vector<Queued>> GroupWriter::Impl::NextBatch() {
  absl::MutexLock lock(&mutex);
  while (queue.empty() && !stopping && absl::Now() < call_done_at) {
    work_changed.WaitWithDeadline(&mutex, call_done_at);
  }
  if (queue.empty() && stopping) return absl::nullopt;
  call_done_at = absl::InfiniteFuture();
  if (queue.empty()) return std::vector<Queued>();
  while (!stopping && queue.size() < options.batch_max && finished_count >= flush_to) {
    if (work_changed.WaitWithDeadline(&mutex, oldest_queued_at + interval)) break;
  }
  const auto end = queue.begin() + std::min(queue.size(), options.batch_max);
  std::vector<Queued> batch(std::make_move_iterator(queue.begin()), std::make_move_iterator(end));
  queue.erase(queue.begin(), end);
  in_batch = batch.size();
  interval = in_batch < options.busy_from ? options.interval : options.busy_interval;
  return batch;
}

// Commits or drops every write of `batch`. Not OK when it gave up: stopping, and the database away.
absl::Status GroupWriter::Impl::Commit(absl::Span<const Queued> batch) {
  // The whole batch in one transaction; where that fails for good, one by one, to find the culprit.
  size_t step = batch.size();
  absl::Duration pause = kPauseStart;
  while (!batch.empty()) {
    absl::Status status = WriteAll(batch.first(step));
    if (status.ok()) {
      pause = kPauseStart;
    } else if (ReasonOf(status) == Reason::DATABASE_UNAVAILABLE) {
      Call(&Hooks::on_unavailable);
      if (PauseBeforeRetry(pause)) continue;
      Drop(batch, status);
      CountFinished(batch.size());
      return status;
    } else if (step > 1) {
      step = 1;
      continue;
    } else {
      Drop(batch.first(1), status);
    }
    CountFinished(step);
    batch.remove_prefix(step);
  }
  return absl::OkStatus();
}

void GroupWriter::Impl::DropQueue(const absl::Status& status) {
  std::vector<Queued> rest;
  {
    absl::MutexLock lock(&mutex);
    rest.assign(std::make_move_iterator(queue.begin()), std::make_move_iterator(queue.end()));
    queue.clear();
    in_batch = rest.size();
  }
  if (!rest.empty()) Drop(rest, status);
  CountFinished(rest.size());
}

absl::Status GroupWriter::Impl::WriteAll(absl::Span<const Queued> writes) {
  return database.Write([&](Session& session) -> absl::Status {
    for (const Queued& queued : writes) AIB_RETURN_IF_ERROR(queued.write(session));
    return absl::OkStatus();
  });
}

// False when the time to give up has come.
bool GroupWriter::Impl::PauseBeforeRetry(absl::Duration& pause) {
  const absl::Time until = absl::Now() + absl::Uniform(random, 0.0, 1.0) * pause;
  absl::MutexLock lock(&mutex);
  if (pause == kPauseStart) {
    spdlog::warn("storage: the database is unavailable; {} writes wait", queue.size() + in_batch);
  }
  pause = std::min(pause * 2, kPauseMax);
  while (absl::Now() < until && absl::Now() < give_up_at) {
    work_changed.WaitWithDeadline(&mutex, std::min(until, give_up_at));
  }
  return absl::Now() < give_up_at;
}

void GroupWriter::Impl::Call(std::function<void()> Hooks::*hook) {
  std::shared_ptr<const Hooks> current;
  {
    absl::MutexLock lock(&mutex);
    current = hooks;
  }
  if (const std::function<void()>& call = (*current).*hook) call();
}

void GroupWriter::Impl::CountFinished(size_t writes) {
  absl::MutexLock lock(&mutex);
  in_batch -= writes;
  finished_count += writes;
  work_finished.SignalAll();
}

}  // namespace aibackend::storage
