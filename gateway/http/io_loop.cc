#include "gateway/http/io_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"

namespace aibackend::gateway::http {
namespace {

constexpr Ticks kTimerTick = 250'000'000;
constexpr Ticks kNever = std::numeric_limits<Ticks>::max();
constexpr int kEventsPerWait = 128;

absl::Status SystemError(const char* what) {
  return absl::InternalError(absl::StrCat(what, ": ", std::strerror(errno)));
}

}  // namespace

Ticks NowTicks() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

absl::StatusOr<std::shared_ptr<IoLoop>> IoLoop::Create(absl::Duration sweep_every) {
  std::shared_ptr<IoLoop> loop(new IoLoop(sweep_every));
  loop->epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (loop->epoll_ < 0) return SystemError("epoll_create1");
  loop->wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (loop->wake_ < 0) return SystemError("eventfd");
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.ptr = nullptr;  // no client: the wake-up
  if (epoll_ctl(loop->epoll_, EPOLL_CTL_ADD, loop->wake_, &event) != 0) {
    return SystemError("epoll_ctl");
  }
  return loop;
}

IoLoop::IoLoop(absl::Duration sweep_every) : sweep_every_(absl::ToInt64Nanoseconds(sweep_every)) {}

IoLoop::~IoLoop() {
  if (wake_ >= 0) close(wake_);
  if (epoll_ >= 0) close(epoll_);
}

void IoLoop::Start() {
  thread_ = std::thread([this] { Run(); });
}

void IoLoop::Stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  Wake();
  if (thread_.joinable()) thread_.join();
  std::vector<Task> tasks;
  std::map<Ticks, std::vector<Task>> timers;
  MutexLock lock(mutex_);
  tasks.swap(tasks_);  // what they hold goes after the lock
  timers.swap(timers_);
}

void IoLoop::Post(Task task) {
  bool wake = false;
  {
    MutexLock lock(mutex_);
    if (stopping_) return;
    wake = tasks_.empty() && !InLoopThread();
    tasks_.push_back(std::move(task));
  }
  if (wake) Wake();
}

void IoLoop::AddTimer(absl::Duration delay, Task task) {
  const Ticks nanoseconds = std::max<Ticks>(absl::ToInt64Nanoseconds(delay), 0);
  const Ticks now = NowTicks();
  if (nanoseconds > kNever - now - 2 * kTimerTick) return;  // not in this process's life
  const Ticks due = (now + nanoseconds + kTimerTick - 1) / kTimerTick * kTimerTick;
  bool wake = false;
  {
    MutexLock lock(mutex_);
    if (stopping_) return;
    timers_[due].push_back(std::move(task));
    wake = due < sleeping_until_;
  }
  if (wake) Wake();
}

absl::Status IoLoop::Add(int fd, std::shared_ptr<LoopClient> client) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = client.get();
  client->index_ = clients_.size();
  clients_.push_back(std::move(client));
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0) return absl::OkStatus();
  absl::Status status = SystemError("epoll_ctl");
  Remove(clients_.back().get());
  return status;
}

void IoLoop::Remove(LoopClient* client) {
  const size_t index = client->index_;
  removed_.push_back(std::move(clients_[index]));
  if (index + 1 < clients_.size()) {
    clients_[index] = std::move(clients_.back());
    clients_[index]->index_ = index;
  }
  clients_.pop_back();
}

void IoLoop::ForEach(const std::function<void(LoopClient*)>& visit) {
  // Backwards, for a client that removes itself is replaced by one already visited.
  for (size_t i = clients_.size(); i-- > 0;) visit(clients_[i].get());
}

void IoLoop::Run() {
  thread_id_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  std::array<epoll_event, kEventsPerWait> events;
  for (;;) {
    const int wait = WaitMilliseconds(NowTicks());
    if (wait == 0) {
      MutexLock lock(mutex_);
      if (stopping_) break;
    }
    const int count = epoll_wait(epoll_, events.data(), kEventsPerWait, wait);
    for (int i = 0; i < count; ++i) {
      auto* client = static_cast<LoopClient*>(events[static_cast<size_t>(i)].data.ptr);
      if (client != nullptr) client->OnEvents(events[static_cast<size_t>(i)].events);
    }
    // The wake-up's counter is never read: it is edge-triggered, and each write is an edge.
    RunTasks();
    const Ticks now = NowTicks();
    RunTimers(now);
    if (!clients_.empty() && now >= next_sweep_) {
      ForEach([now](LoopClient* client) { client->OnSweep(now); });
      next_sweep_ = now + sweep_every_;
    }
    removed_.clear();
  }
  removed_.clear();
  clients_.clear();
}

// How long to sleep: until the next sweep or timer, for ever if there is none, not at all if there
// is work. Others wake the thread for what comes while it sleeps.
int IoLoop::WaitMilliseconds(Ticks now) {
  MutexLock lock(mutex_);
  sleeping_until_ = 0;
  if (stopping_ || !tasks_.empty()) return 0;
  Ticks until = clients_.empty() ? kNever : next_sweep_;
  if (!timers_.empty()) until = std::min(until, timers_.begin()->first);
  sleeping_until_ = until;
  if (until == kNever) return -1;
  constexpr Ticks kMillisecond = 1'000'000;
  return until <= now ? 0 : static_cast<int>((until - now + kMillisecond - 1) / kMillisecond);
}

void IoLoop::RunTasks() {
  std::vector<Task> tasks;
  {
    MutexLock lock(mutex_);
    tasks.swap(tasks_);
  }
  // What these post waits for the next turn, after the sockets.
  for (Task& task : tasks) {
    task();
    task = nullptr;
  }
}

void IoLoop::RunTimers(Ticks now) {
  std::vector<Task> due;
  {
    MutexLock lock(mutex_);
    while (!timers_.empty() && timers_.begin()->first <= now) {
      auto& tasks = timers_.begin()->second;
      due.insert(due.end(), std::make_move_iterator(tasks.begin()),
                 std::make_move_iterator(tasks.end()));
      timers_.erase(timers_.begin());
    }
  }
  for (Task& task : due) {
    task();
    task = nullptr;
  }
}

void IoLoop::Wake() {
  const uint64_t one = 1;
  // Only a full counter could fail, and that one has woken the thread already.
  [[maybe_unused]] const ssize_t written = write(wake_, &one, sizeof(one));
}

}  // namespace aibackend::gateway::http
