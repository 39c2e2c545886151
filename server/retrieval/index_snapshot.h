// The file a snapshot of an index is in: numbers in sections, each with a checksum.
//
//   8 bytes   magic, with the number of the format
//   sections  {uint32 kind, uint32 crc, uint64 bytes}, then so many bytes, whose CRC-32 `crc` is
//   the last  of kind kEnd: the bytes before it, and the CRC-32 of all headers before it
//
// Numbers are little endian, as they are in memory. What is read is not trusted: every length is
// checked against what is left of its section, and a section against what is left of the file,
// before memory is taken for it. A reader finds damage, not malice: who can write to the folder can
// write to the database too.
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/retrieval/collection_id.h"

namespace aibackend::retrieval {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the file is written as memory is");

// How an index is made of texts, with the analyzer's version. Of another method no snapshot is
// read.
std::string IndexMethod();

enum class SnapshotSection : uint32_t {
  kHead = 1,
  kSlots,
  kWords,
  kBigrams,
  kChars,
  kUnstemmed,
  kSpace,
  kVectors,
  kGraph,
  kExpanded,
  kEnd,
};

// Numbers, and structs of numbers without padding.
template <class T>
inline constexpr bool kIsPlain = std::is_trivially_copyable_v<T> && !std::is_pointer_v<T>;

// Writes to a file from its start. Errors stay until Finish(). Not thread-safe.
class SnapshotWriter {
 public:
  explicit SnapshotWriter(int fd);  // borrowed, empty

  void Begin(SnapshotSection section);
  void End();

  template <class T>
  void Put(const T& value) {
    static_assert(kIsPlain<T>);
    Write(&value, sizeof value);
  }
  template <class T>
  void PutArray(const T* values, size_t count) {
    static_assert(kIsPlain<T>);
    Write(values, count * sizeof(T));
  }
  void PutText(absl::string_view text);

  // Ends the file. The first error of all that was done.
  absl::Status Finish();
  uint64_t bytes() const { return flushed_ + buffer_.size(); }

 private:
  void Write(const void* bytes, size_t size);
  void Flush();
  void WriteAt(const void* bytes, size_t size, uint64_t offset);

  const int fd_;
  std::string buffer_;
  uint64_t flushed_ = 0;
  uint64_t section_start_ = 0;
  SnapshotSection section_ = SnapshotSection::kHead;
  uint32_t section_crc_ = 0;
  uint32_t headers_crc_ = 0;
  absl::Status status_;
};

// Reads such a file. The first thing wrong stays, and what is read after it is 0 or empty, so that
// a caller need ask only before it uses what it read. Not thread-safe.
class SnapshotReader {
 public:
  SnapshotReader(int fd, uint64_t file_bytes);  // borrowed, at its start

  void Begin(SnapshotSection section);
  // Fails unless all of the section was read and its checksum holds.
  void End();

  template <class T>
  T Get() {
    static_assert(kIsPlain<T>);
    T value{};
    Read(&value, sizeof value);
    return value;
  }
  template <class T>
  std::vector<T> GetArray(uint64_t count) {
    static_assert(kIsPlain<T>);
    if (!Fits(count, sizeof(T))) return {};
    std::vector<T> values(count);
    Read(values.data(), count * sizeof(T));
    if (!ok()) values.clear();
    return values;
  }
  std::string GetText();

  // Whether `count` things of at least `size` bytes each are left in the section; fails if not.
  bool Fits(uint64_t count, uint64_t size);
  // Fails unless `is_so`; returns it, and false after a failure.
  bool Check(bool is_so, absl::string_view problem);

  // Fails unless the file ends here and is whole.
  void Finish();

  bool ok() const { return problem_.empty(); }
  const std::string& problem() const { return problem_; }
  uint64_t file_bytes() const { return file_bytes_; }

 private:
  struct Header;

  bool Read(void* bytes, size_t size);  // within the section
  bool ReadRaw(void* bytes, size_t size);
  Header ReadHeader();

  const int fd_;
  const uint64_t file_bytes_;
  std::vector<char> buffer_;
  size_t buffer_next_ = 0;
  size_t buffer_end_ = 0;
  uint64_t offset_ = 0;        // read so far
  uint64_t section_left_ = 0;  // bytes
  uint32_t section_crc_ = 0;   // of what was read
  uint32_t expected_crc_ = 0;
  uint32_t headers_crc_ = 0;
  std::string problem_;
};

// Whose snapshot it is, and of what.
struct SnapshotHead {
  CollectionId id;
  int generation = 0;
  std::string embedder;      // kFittedEmbedder, or the name of one outside
  std::string embedder_key;  // of one outside: what its vectors are kept by
  size_t dimensions = 0;
  int64_t fitted_chunks = 0;
};

void WriteHead(const SnapshotHead& head, SnapshotWriter& writer);
// Fails for another method.
SnapshotHead ReadHead(SnapshotReader& reader);

}  // namespace aibackend::retrieval
