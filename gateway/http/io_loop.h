// One I/O thread: epoll, what other threads ask it to do, coarse timers, and a sweep over its
// connections for their deadlines.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gateway/http/mutex.h"

namespace aibackend::gateway::http {

// Nanoseconds of the monotonic clock.
using Ticks = int64_t;
Ticks NowTicks();

// What a loop drives; all of it runs on the loop's thread.
class LoopClient {
 public:
  virtual ~LoopClient() = default;
  virtual void OnEvents(uint32_t epoll_events) = 0;
  virtual void OnSweep(Ticks now) = 0;
  // The edge stops: end what is idle / end everything.
  virtual void OnDrain() = 0;
  virtual void OnAbort() = 0;

 private:
  friend class IoLoop;
  size_t index_ = 0;  // in the loop's list
};

// Post(), AddTimer() and InLoopThread() from any thread; the rest on the loop's own.
class IoLoop {
 public:
  using Task = std::function<void()>;

  // `sweep_every`: how often, while there are connections, OnSweep() of each is called.
  static absl::StatusOr<std::shared_ptr<IoLoop>> Create(absl::Duration sweep_every);
  ~IoLoop();
  IoLoop(const IoLoop&) = delete;
  IoLoop& operator=(const IoLoop&) = delete;

  void Start();
  // Ends the thread. What is posted later is dropped.
  void Stop();

  void Post(Task task);
  // Runs `task` in about `delay`: timers share ticks of a quarter of a second, so that thousands of
  // heartbeats wake the thread together.
  void AddTimer(absl::Duration delay, Task task);
  bool InLoopThread() const {
    return std::this_thread::get_id() == thread_id_.load(std::memory_order_relaxed);
  }

  // Watches `fd`, edge-triggered, for reading, writing and the other side's closing. The loop
  // shares the client until Remove().
  absl::Status Add(int fd, std::shared_ptr<LoopClient> client);
  // Before the fd is closed.
  void Remove(LoopClient* client);
  void ForEach(const std::function<void(LoopClient*)>& visit);

  // Room to receive into, so that a waiting connection needs none of its own.
  static constexpr size_t kScratchBytes = 64 * 1024;
  char* scratch() { return scratch_.data(); }

 private:
  explicit IoLoop(absl::Duration sweep_every);

  void Run();
  int WaitMilliseconds(Ticks now);
  void RunTasks();
  void RunTimers(Ticks now);
  void Wake();

  const Ticks sweep_every_;
  int epoll_ = -1;
  int wake_ = -1;  // an eventfd
  std::thread thread_;
  std::atomic<std::thread::id> thread_id_{};

  // The loop's own.
  std::vector<std::shared_ptr<LoopClient>> clients_;
  std::vector<std::shared_ptr<LoopClient>> removed_;  // kept while their calls return
  Ticks next_sweep_ = 0;
  std::array<char, kScratchBytes> scratch_;

  Mutex mutex_;
  std::vector<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  std::map<Ticks, std::vector<Task>> timers_ ABSL_GUARDED_BY(mutex_);
  Ticks sleeping_until_ ABSL_GUARDED_BY(mutex_) = 0;  // 0: awake
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace aibackend::gateway::http
