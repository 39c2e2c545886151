#include "server/extract/zip_member.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <memory>

#include "server/extract/failure.h"

namespace aibackend::extract {
namespace {

// A DOCX has dozens, a few hundred with many pictures.
constexpr int kMembersMax = 10'000;
// Below it a ratio says nothing: a template's few lines may deflate well.
constexpr size_t kRatioFromBytes = 4 << 20;

using ArchivePtr = std::unique_ptr<archive, decltype(&archive_read_free)>;

absl::Status NoZip() {
  return Damaged("the DOCX can't be read: it is damaged, or no DOCX");
}

absl::Status ReadData(archive* zip, size_t bytes_max, const CpuBudget& cpu,
                      absl::FunctionRef<absl::Status(absl::string_view)> sink) {
  size_t total = 0;
  const void* piece = nullptr;
  size_t size = 0;
  la_int64_t offset = 0;
  for (;;) {
    const int result = archive_read_data_block(zip, &piece, &size, &offset);
    if (result == ARCHIVE_EOF) return absl::OkStatus();
    if (result != ARCHIVE_OK) return NoZip();
    total += size;
    if (total > bytes_max) return TooLarge("the DOCX inflates to too much");
    if (cpu.IsSpent()) return TooLarge("reading the DOCX takes too long");
    AIB_RETURN_IF_ERROR(sink(absl::string_view(static_cast<const char*>(piece), size)));
  }
}

}  // namespace

absl::StatusOr<bool> ReadZipMember(absl::string_view zip, absl::string_view name,
                                   const ExtractLimits& limits, const CpuBudget& cpu,
                                   absl::FunctionRef<absl::Status(absl::string_view)> sink) {
  const ArchivePtr reader(archive_read_new(), archive_read_free);
  if (reader == nullptr) return absl::ResourceExhaustedError("out of memory");
  // From the list at its end, as Office reads it; a member without an entry there isn't of the
  // file.
  archive_read_support_format_zip_seekable(reader.get());
  if (archive_read_open_memory(reader.get(), zip.data(), zip.size()) != ARCHIVE_OK) return NoZip();
  const size_t bytes_max =
      std::min(limits.inflated_bytes_max,
               std::max(kRatioFromBytes, limits.inflation_ratio_max * zip.size()));
  for (int i = 0; i < kMembersMax; ++i) {
    archive_entry* entry = nullptr;
    const int result = archive_read_next_header(reader.get(), &entry);
    if (result == ARCHIVE_EOF) return false;
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN) return NoZip();
    const char* path = archive_entry_pathname(entry);
    if (path == nullptr || path != name) continue;
    if (archive_entry_is_encrypted(entry) != 0) {
      return Damaged("the DOCX can't be read: it is encrypted");
    }
    AIB_RETURN_IF_ERROR(ReadData(reader.get(), bytes_max, cpu, sink));
    return true;
  }
  return TooLarge("the DOCX holds too many parts");
}

}  // namespace aibackend::extract
