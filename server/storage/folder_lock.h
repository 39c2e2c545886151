// One server a data folder: a second one would search an index that doesn't see the first one's
// writes.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace aibackend::storage {

// Held as long as the object; the kernel lets go when the process dies, however it dies.
class FolderLock {
 public:
  // Fails when another process holds the folder.
  static absl::StatusOr<FolderLock> Take(const std::string& folder);

  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&&) = delete;
  ~FolderLock();

 private:
  explicit FolderLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace aibackend::storage
