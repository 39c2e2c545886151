// A disk that a test makes unreadable: takes the place of the C library's pread in its program.
// Include it in one file of a program.
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace aibackend::usage {

// While true every pread fails with EIO, and is counted.
inline std::atomic<bool> disk_fails{false};
inline std::atomic<int> disk_failures{0};

}  // namespace aibackend::usage

extern "C" ssize_t pread(int fd, void* bytes, size_t size, off_t offset) {
  if (aibackend::usage::disk_fails) {
    ++aibackend::usage::disk_failures;
    errno = EIO;
    return -1;
  }
  return syscall(SYS_pread64, fd, bytes, size, offset);
}
