#include "server/retrieval/index_snapshot.h"

#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "server/retrieval/analyzer.h"

namespace aibackend::retrieval {
namespace {

constexpr char kMagic[8] = {'A', 'I', 'B', 'I', 'D', 'X', '0', '1'};
// Whoever changes what is computed of terms changes this; of the analyzer, AnalyzerVersion().
constexpr char kMethod[] = "bm25 1, lsa 1, neighbours 1";
constexpr size_t kBufferBytes = 1 << 20;   // few calls of the kernel, little memory
constexpr size_t kTextBytesMax = 4 << 10;  // names; the longest has 64 letters, tenants 256

struct SectionHeader {
  uint32_t kind = 0;
  uint32_t crc = 0;
  uint64_t bytes = 0;
};
static_assert(sizeof(SectionHeader) == 16);

uint32_t Crc(uint32_t crc, const void* bytes, size_t size) {
  if (size == 0) return crc;  // zlib starts anew at a null pointer
  return static_cast<uint32_t>(crc32_z(crc, static_cast<const Bytef*>(bytes), size));
}

}  // namespace

std::string IndexMethod() {
  return absl::StrCat("analyzer ", AnalyzerVersion(), ", ", kMethod);
}

// --- Writing

SnapshotWriter::SnapshotWriter(int fd) : fd_(fd) {
  buffer_.reserve(kBufferBytes);
  buffer_.append(kMagic, sizeof kMagic);
}

// The header's place stays open until the section's end is known.
void SnapshotWriter::Begin(SnapshotSection section) {
  section_ = section;
  section_start_ = bytes();
  const SectionHeader none;
  Write(&none, sizeof none);
  section_crc_ = 0;
}

void SnapshotWriter::End() {
  const SectionHeader header{static_cast<uint32_t>(section_), section_crc_,
                             bytes() - section_start_ - sizeof(SectionHeader)};
  headers_crc_ = Crc(headers_crc_, &header, sizeof header);
  Flush();
  WriteAt(&header, sizeof header, section_start_);
}

void SnapshotWriter::PutText(absl::string_view text) {
  Put(static_cast<uint32_t>(text.size()));
  PutArray(text.data(), text.size());
}

void SnapshotWriter::Write(const void* bytes, size_t size) {
  section_crc_ = Crc(section_crc_, bytes, size);
  const auto* next = static_cast<const char*>(bytes);
  while (size > 0) {
    if (buffer_.size() == kBufferBytes) Flush();
    const size_t part = std::min(size, kBufferBytes - buffer_.size());
    buffer_.append(next, part);
    next += part;
    size -= part;
  }
}

void SnapshotWriter::Flush() {
  WriteAt(buffer_.data(), buffer_.size(), flushed_);
  flushed_ += buffer_.size();
  buffer_.clear();
}

void SnapshotWriter::WriteAt(const void* bytes, size_t size, uint64_t offset) {
  const auto* next = static_cast<const char*>(bytes);
  while (size > 0 && status_.ok()) {
    const ssize_t written = pwrite(fd_, next, size, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      status_ = absl::UnavailableError(absl::StrCat("cannot write: ", std::strerror(errno)));
      return;
    }
    next += written;
    offset += static_cast<uint64_t>(written);
    size -= static_cast<size_t>(written);
  }
}

absl::Status SnapshotWriter::Finish() {
  const uint64_t bytes_before = bytes();
  const uint32_t headers_crc = headers_crc_;
  Begin(SnapshotSection::kEnd);
  Put(bytes_before);
  Put(headers_crc);
  End();
  return status_;
}

// --- Reading

struct SnapshotReader::Header : SectionHeader {};

SnapshotReader::SnapshotReader(int fd, uint64_t file_bytes) : fd_(fd), file_bytes_(file_bytes) {
  buffer_.resize(std::min<uint64_t>(kBufferBytes, file_bytes + 1));
  char magic[sizeof kMagic] = {};
  ReadRaw(magic, sizeof magic);
  Check(std::memcmp(magic, kMagic, sizeof magic) == 0, "it has another format");
}

bool SnapshotReader::Check(bool is_so, absl::string_view problem) {
  if (!is_so && problem_.empty()) problem_ = std::string(problem);
  return ok();
}

SnapshotReader::Header SnapshotReader::ReadHeader() {
  Header header;
  ReadRaw(&header, sizeof header);
  Check(header.bytes <= file_bytes_ - offset_, "a section is longer than the file");
  return ok() ? header : Header();
}

void SnapshotReader::Begin(SnapshotSection section) {
  const Header header = ReadHeader();
  Check(header.kind == static_cast<uint32_t>(section), "it has other sections");
  headers_crc_ = Crc(headers_crc_, &header, sizeof header);
  section_left_ = ok() ? header.bytes : 0;
  section_crc_ = 0;
  expected_crc_ = header.crc;
}

void SnapshotReader::End() {
  Check(section_left_ == 0, "a section is longer than what is in it");
  Check(section_crc_ == expected_crc_, "a checksum is wrong");
}

void SnapshotReader::Finish() {
  const uint64_t bytes_before = offset_;
  const uint32_t headers_crc = headers_crc_;
  Begin(SnapshotSection::kEnd);
  Check(Get<uint64_t>() == bytes_before, "its length is wrong");
  Check(Get<uint32_t>() == headers_crc, "a header is wrong");
  End();
  Check(offset_ == file_bytes_, "something follows its end");
}

bool SnapshotReader::Fits(uint64_t count, uint64_t size) {
  return Check(count <= section_left_ / size, "a section is shorter than what is in it");
}

std::string SnapshotReader::GetText() {
  const auto size = Get<uint32_t>();
  Check(size <= kTextBytesMax, "a name is too long");
  const std::vector<char> text = GetArray<char>(ok() ? size : 0);
  return std::string(text.begin(), text.end());
}

bool SnapshotReader::Read(void* bytes, size_t size) {
  if (!Fits(size, 1)) return false;
  if (!ReadRaw(bytes, size)) return false;
  section_left_ -= size;
  section_crc_ = Crc(section_crc_, bytes, size);
  return true;
}

bool SnapshotReader::ReadRaw(void* bytes, size_t size) {
  auto* next = static_cast<char*>(bytes);
  while (size > 0 && ok()) {
    if (buffer_next_ == buffer_end_) {
      const ssize_t got = read(fd_, buffer_.data(), buffer_.size());
      if (got < 0 && errno == EINTR) continue;
      if (!Check(got >= 0, "it cannot be read") || !Check(got > 0, "it ends too early")) break;
      buffer_next_ = 0;
      buffer_end_ = static_cast<size_t>(got);
    }
    const size_t part = std::min(size, buffer_end_ - buffer_next_);
    std::memcpy(next, buffer_.data() + buffer_next_, part);
    buffer_next_ += part;
    offset_ += part;
    next += part;
    size -= part;
  }
  Check(offset_ <= file_bytes_, "it grew while it was read");
  if (!ok()) std::memset(bytes, 0, next + size - static_cast<char*>(bytes));
  return ok();
}

// --- The head

void WriteHead(const SnapshotHead& head, SnapshotWriter& writer) {
  writer.Begin(SnapshotSection::kHead);
  writer.PutText(IndexMethod());
  writer.PutText(head.id.tenant);
  writer.PutText(head.id.name);
  writer.Put(static_cast<int32_t>(head.generation));
  writer.PutText(head.embedder);
  writer.PutText(head.embedder_key);
  writer.Put(static_cast<uint64_t>(head.dimensions));
  writer.Put(head.fitted_chunks);
  writer.End();
}

SnapshotHead ReadHead(SnapshotReader& reader) {
  SnapshotHead head;
  reader.Begin(SnapshotSection::kHead);
  reader.Check(reader.GetText() == IndexMethod(), "its index was made in another way");
  head.id.tenant = reader.GetText();
  head.id.name = reader.GetText();
  head.generation = reader.Get<int32_t>();
  head.embedder = reader.GetText();
  head.embedder_key = reader.GetText();
  head.dimensions = reader.Get<uint64_t>();
  head.fitted_chunks = reader.Get<int64_t>();
  reader.End();
  return head;
}

}  // namespace aibackend::retrieval
