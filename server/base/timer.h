// One thread that runs many small callbacks at their times. At thousands of timers this is about
// twice as fast as grpc::Alarm.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace aibackend {

// Thread-safe. Callbacks run one at a time on the timer's thread, in the order of their times; they
// must be short and may schedule and cancel. What is still pending when the timer is destroyed does
// not run.
class Timer {
 public:
  using Handle = uint64_t;

  Timer();
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  Handle At(absl::Time when, std::function<void()> callback);
  Handle After(absl::Duration delay, std::function<void()> callback);

  // True: the callback was pending and will never run. False: it has run, is running now, or was
  // cancelled before.
  bool Cancel(Handle handle);

 private:
  using Key = std::pair<absl::Time, Handle>;

  void Run();

  absl::Mutex mutex_;
  absl::CondVar changed_;
  std::map<Key, std::function<void()>> pending_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<Handle, absl::Time> times_ ABSL_GUARDED_BY(mutex_);
  Handle next_ ABSL_GUARDED_BY(mutex_) = 1;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace aibackend
