#include "server/usage/row_spool.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "spdlog/spdlog.h"

namespace aibackend::usage {
namespace {

constexpr absl::string_view kMagic = "AIBSPL01";
constexpr uint64_t kStart = 8;  // of the first record

constexpr size_t kCopyBytes = size_t{1} << 20;  // at a time

struct Head {
  uint32_t bytes = 0;
  uint32_t crc = 0;  // of `bytes` and of what follows
};
static_assert(sizeof(Head) == 8);

uint32_t CrcOf(uint32_t bytes, absl::string_view record) {
  const uLong crc = crc32_z(0, reinterpret_cast<const Bytef*>(&bytes), sizeof bytes);
  return static_cast<uint32_t>(
      crc32_z(crc, reinterpret_cast<const Bytef*>(record.data()), record.size()));
}

absl::Status Failed(absl::string_view what, const std::string& path) {
  return absl::UnavailableError(absl::StrCat("cannot ", what, " ", path, ": ", strerror(errno)));
}

// False at an error, with `errno`, and so where the file ends before.
bool ReadAt(int fd, void* bytes, size_t size, uint64_t offset) {
  auto* next = static_cast<char*>(bytes);
  while (size > 0) {
    const ssize_t got = pread(fd, next, size, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got == 0) errno = ENODATA;
    if (got <= 0) return false;
    next += got;
    offset += static_cast<uint64_t>(got);
    size -= static_cast<size_t>(got);
  }
  return true;
}

bool WriteAt(int fd, absl::string_view bytes, uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t written = pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
  }
  return true;
}

struct Found {
  uint64_t next = 0;      // where the record behind it begins; 0: none can be here
  bool is_whole = false;  // its checksum is right
};

// Reads the record at `offset` of a file that ends at `end`. Absent: the disk doesn't give it, and
// `errno` says why.
absl::optional<Found> ReadRecord(int fd, uint64_t offset, uint64_t end, std::string& record) {
  Head head;
  if (offset + sizeof head > end) return Found();
  if (!ReadAt(fd, &head, sizeof head, offset)) return absl::nullopt;
  const uint64_t next = offset + sizeof head + head.bytes;
  if (head.bytes == 0 || head.bytes > RowSpool::kRecordBytesMax || next > end) return Found();
  record.resize(head.bytes);
  if (!ReadAt(fd, record.data(), record.size(), offset + sizeof head)) return absl::nullopt;
  return Found{next, CrcOf(head.bytes, record) == head.crc};
}

void SyncFolder(const std::string& folder) {
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  (void)fsync(fd);
  close(fd);
}

}  // namespace

RowSpool::~RowSpool() {
  absl::MutexLock lock(&mutex_);
  if (fd_ < 0) return;
  if (!synced_) (void)fdatasync(fd_);
  close(fd_);
}

// Not OK with NOT_FOUND where there is no file and `may_make` is false.
absl::Status RowSpool::Open(bool may_make) {
  if (fd_ >= 0) return absl::OkStatus();
  if (may_make) {
    std::error_code error;
    if (std::filesystem::create_directories(options_.folder, error)) {
      std::filesystem::permissions(options_.folder, std::filesystem::perms::owner_all, error);
    }
  }
  // Opening anything but a plain file must not block.
  const int flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | (may_make ? O_CREAT : 0);
  const int fd = open(path().c_str(), flags, S_IRUSR | S_IWUSR);
  if (fd < 0 && errno == ENOENT && !may_make) return absl::NotFoundError("there is no spool");
  if (fd < 0) return Failed("open", path());
  fd_ = fd;
  absl::Status status = FindEnd();
  if (status.ok()) return status;
  close(fd_);
  fd_ = -1;
  if (status.code() != absl::StatusCode::kDataLoss) return status;
  const std::string aside = path() + ".foreign";
  spdlog::error("usage: {} is no spool ({}); it is kept as {}", path(),
                std::string(status.message()), aside);
  if (rename(path().c_str(), aside.c_str()) != 0) return Failed("rename", path());
  return Open(may_make);
}

// DATA_LOSS where the file is none of ours.
absl::Status RowSpool::FindEnd() {
  struct stat about {};
  if (fstat(fd_, &about) != 0) return Failed("look at", path());
  if (!S_ISREG(about.st_mode)) return absl::DataLossError("it is no plain file");
  const auto file_end = static_cast<uint64_t>(about.st_size);
  std::string start(std::min(file_end, kStart), '\0');
  if (!ReadAt(fd_, start.data(), start.size(), 0)) return Failed("read", path());
  if (start != kMagic.substr(0, start.size())) return absl::DataLossError("it has another format");
  end_ = 0;
  if (start.size() == kStart) {
    end_ = kStart;
    std::string record;
    for (;;) {
      const auto found = ReadRecord(fd_, end_, file_end, record);
      if (!found) return Failed("read", path());
      if (found->next == 0) break;
      end_ = found->next;
    }
  }
  if (end_ < file_end) return CutAfterEnd(file_end);
  if (file_end == 0) SyncFolder(options_.folder);  // it is new
  return absl::OkStatus();
}

absl::Status RowSpool::CutAfterEnd(uint64_t file_end) {
  // Before the first record's place there is nothing to keep.
  if (end_ >= kStart) {
    if (absl::Status kept = KeepAside(end_, file_end); !kept.ok()) return kept;
    spdlog::warn("usage: the last {} bytes of {} are no whole record: they are moved to {}.bad",
                 file_end - end_, path(), path());
  }
  if (ftruncate(fd_, static_cast<off_t>(end_)) != 0) return Failed("cut", path());
  return absl::OkStatus();
}

// Appends these bytes to the file of the bad ones, which begins anew where it would be too large.
absl::Status RowSpool::KeepAside(uint64_t from, uint64_t to) {
  const std::string aside = path() + ".bad";
  const int fd = open(aside.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
                      S_IRUSR | S_IWUSR);
  if (fd < 0) return Failed("open", aside);
  struct stat about {};
  absl::Status status = fstat(fd, &about) == 0 ? absl::OkStatus() : Failed("look at", aside);
  auto end = static_cast<uint64_t>(about.st_size);
  if (end + (to - from) > options_.bytes_max) {
    end = 0;
    if (ftruncate(fd, 0) != 0) status = Failed("cut", aside);
  }
  std::string bytes;
  while (status.ok() && from < to) {
    bytes.resize(std::min<uint64_t>(kCopyBytes, to - from));
    if (!ReadAt(fd_, bytes.data(), bytes.size(), from)) {
      status = Failed("read", path());
    } else if (!WriteAt(fd, bytes, end)) {
      status = Failed("write", aside);
    }
    from += bytes.size();
    end += bytes.size();
  }
  if (status.ok() && fdatasync(fd) != 0) status = Failed("sync", aside);
  close(fd);
  if (status.ok()) SyncFolder(options_.folder);
  return status;
}

absl::Status RowSpool::Append(absl::Span<const std::string> records) {
  std::string bytes;
  for (const std::string& record : records) {
    if (record.empty() || record.size() > kRecordBytesMax) {
      return absl::ResourceExhaustedError("a row is too large for the spool");
    }
    const Head head{static_cast<uint32_t>(record.size()),
                    CrcOf(static_cast<uint32_t>(record.size()), record)};
    bytes.append(reinterpret_cast<const char*>(&head), sizeof head);
    bytes.append(record);
  }
  absl::MutexLock lock(&mutex_);
  if (absl::Status status = Open(/*may_make=*/true); !status.ok()) return status;
  if (end_ == 0) bytes.insert(0, kMagic.data(), kMagic.size());
  if (end_ + bytes.size() > options_.bytes_max) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the spool has its ", options_.bytes_max, " bytes"));
  }
  // What a write that fails leaves lies behind the end: the next one goes over it.
  if (!WriteAt(fd_, bytes, end_)) {
    absl::Status failed = Failed("write", path());
    (void)ftruncate(fd_, static_cast<off_t>(end_));
    return failed;
  }
  end_ += bytes.size();
  synced_ = false;
  return absl::OkStatus();
}

absl::Status RowSpool::Sync() {
  int copy = -1;
  {
    absl::MutexLock lock(&mutex_);
    if (fd_ < 0 || synced_) return absl::OkStatus();
    synced_ = true;
    copy = fcntl(fd_, F_DUPFD_CLOEXEC, 0);
  }
  // Without the mutex: nobody who appends waits for the disk.
  if (copy < 0) return Failed("sync", path());
  absl::Status status = fdatasync(copy) == 0 ? absl::OkStatus() : Failed("sync", path());
  close(copy);
  if (!status.ok()) {
    absl::MutexLock lock(&mutex_);
    synced_ = false;
  }
  return status;
}

absl::StatusOr<RowSpool::Progress> RowSpool::Read(
    uint64_t from, size_t records_max, size_t bytes_max,
    absl::FunctionRef<void(absl::string_view)> on_record) {
  absl::MutexLock lock(&mutex_);
  absl::Status status = Open(/*may_make=*/false);
  if (absl::IsNotFound(status)) return Progress{0, true, 0};
  if (!status.ok()) return status;
  Progress progress;
  progress.next = std::max(from, std::min(kStart, end_));
  const uint64_t stop_at = progress.next + bytes_max;
  std::string record;
  for (size_t records = 0; records < records_max && progress.next < stop_at; ++records) {
    progress.at_end = progress.next >= end_;
    if (progress.at_end) return progress;
    const auto found = ReadRecord(fd_, progress.next, end_, record);
    if (!found) return Failed("read", path());
    if (found->next == 0) {
      return absl::UnavailableError(absl::StrCat("cannot read ", path(), ": it has changed"));
    }
    progress.next = found->next;
    if (found->is_whole) {
      on_record(record);
    } else {
      ++progress.damaged;
    }
  }
  progress.at_end = progress.next >= end_;
  return progress;
}

absl::StatusOr<bool> RowSpool::ClearIfEndsAt(uint64_t end) {
  absl::MutexLock lock(&mutex_);
  if (end_ != end) return false;
  absl::Status status = ClearLocked();
  if (!status.ok()) return status;
  return true;
}

absl::Status RowSpool::Clear() {
  absl::MutexLock lock(&mutex_);
  return ClearLocked();
}

absl::Status RowSpool::ClearLocked() {
  if (fd_ < 0) return absl::OkStatus();
  if (ftruncate(fd_, 0) != 0) return Failed("cut", path());
  end_ = 0;
  return absl::OkStatus();
}

}  // namespace aibackend::usage
