// A file where rows wait while the database is away: what was appended is there after a kill -9.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"

namespace aibackend::usage {

// Records of bytes, in the order they were appended, in <folder>/ledger.spool. Thread-safe; one
// object a folder. Nothing is opened or made before it is needed.
//
// A record is its length, a CRC-32 and its bytes. Where the file stops making sense it is cut: that
// is the record whose writing a kill cut short, or a damaged length with records behind it. What is
// cut is appended to ledger.spool.bad before. A record in the midst whose checksum is wrong is
// passed over and counted. A file that is no spool is renamed to ledger.spool.foreign.
//
// Errors are codes of absl: UNAVAILABLE (the disk: full, read-only, unreadable, gone; the file is
// left as it is), RESOURCE_EXHAUSTED (it would be larger than `bytes_max`).
class RowSpool {
 public:
  struct Options {
    std::string folder;  // made where it is missing, for the owner alone
    uint64_t bytes_max = uint64_t{1} << 30;
  };

  explicit RowSpool(Options options) : options_(std::move(options)) {}
  ~RowSpool();  // syncs
  RowSpool(const RowSpool&) = delete;
  RowSpool& operator=(const RowSpool&) = delete;

  // All of them or none. The kernel has them when it returns; after Sync() also the disk. A record
  // has at most kRecordBytesMax bytes.
  absl::Status Append(absl::Span<const std::string> records);
  absl::Status Sync();

  struct Progress {
    uint64_t next = 0;  // where to read on
    bool at_end = false;
    int64_t damaged = 0;  // records passed over
  };
  // Gives records from `from` on (0: from the first one) until they come to `records_max` or
  // `bytes_max`; at least one where there is one. `on_record` must not call the spool.
  absl::StatusOr<Progress> Read(uint64_t from, size_t records_max, size_t bytes_max,
                                absl::FunctionRef<void(absl::string_view)> on_record);

  // Empties it, unless it was appended to since a Read that gave `end` as `next`. True: emptied.
  absl::StatusOr<bool> ClearIfEndsAt(uint64_t end);
  // Empties it.
  absl::Status Clear();

  static constexpr uint32_t kRecordBytesMax = 64u << 20;

 private:
  absl::Status Open(bool may_make) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status FindEnd() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CutAfterEnd(uint64_t file_end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status KeepAside(uint64_t from, uint64_t to) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status ClearLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string path() const { return options_.folder + "/ledger.spool"; }

  const Options options_;
  absl::Mutex mutex_;
  int fd_ ABSL_GUARDED_BY(mutex_) = -1;
  uint64_t end_ ABSL_GUARDED_BY(mutex_) = 0;  // of the last record
  bool synced_ ABSL_GUARDED_BY(mutex_) = true;
};

}  // namespace aibackend::usage
