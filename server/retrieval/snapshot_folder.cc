#include "server/retrieval/snapshot_folder.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/retrieval/document_validation.h"
#include "server/retrieval/text_embedder.h"

namespace aibackend::retrieval {
namespace {

namespace fs = std::filesystem;

constexpr char kEnding[] = ".snapshot";
constexpr char kDraftEnding[] = ".snapshot.new";

absl::Status Failed(absl::string_view what, const std::string& path) {
  return absl::UnavailableError(absl::StrCat("cannot ", what, " ", path, ": ", strerror(errno)));
}

absl::Status SyncFolderOf(const std::string& path) {
  const std::string folder = fs::path(path).parent_path().string();
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Failed("open", folder);
  const bool is_synced = fsync(fd) == 0;
  close(fd);
  return is_synced ? absl::OkStatus() : Failed("sync", folder);
}

// An index with vectors from outside may be made again under its number, of other chunks.
bool IsSame(const SnapshotHead& a, const SnapshotHead& b) {
  return a.id == b.id && a.generation == b.generation && a.embedder == b.embedder &&
         a.embedder_key == b.embedder_key && a.dimensions == b.dimensions &&
         (a.embedder != kFittedEmbedder || a.fitted_chunks == b.fitted_chunks);
}

}  // namespace

// --- A draft

SnapshotDraft::SnapshotDraft(std::string path, std::string place, uint64_t bytes)
    : path_(std::move(path)), place_(std::move(place)), bytes_(bytes) {}

SnapshotDraft::SnapshotDraft(SnapshotDraft&& other) noexcept
    : path_(std::exchange(other.path_, "")),
      place_(std::move(other.place_)),
      bytes_(other.bytes_) {}

SnapshotDraft& SnapshotDraft::operator=(SnapshotDraft&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(place_, other.place_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

SnapshotDraft::~SnapshotDraft() {
  if (!path_.empty()) unlink(path_.c_str());
}

absl::Status SnapshotDraft::Commit() {
  if (rename(path_.c_str(), place_.c_str()) != 0) return Failed("put in place", place_);
  path_.clear();
  return SyncFolderOf(place_);
}

// --- The folder

std::string SnapshotFolder::PathOf(const CollectionId& collection) const {
  return absl::StrCat(folder_, "/", Sha256Hex({collection.tenant, collection.name}), kEnding);
}

absl::Status SnapshotFolder::Prepare(const std::vector<CollectionId>& collections) const {
  absl::flat_hash_set<std::string> used;
  for (const CollectionId& collection : collections) used.insert(PathOf(collection));
  std::error_code error;
  fs::create_directories(folder_, error);
  if (!error) fs::permissions(folder_, fs::perms::owner_all, error);
  std::vector<std::string> unused;
  for (fs::directory_iterator file(folder_, error), end; !error && file != end;
       file.increment(error)) {
    const std::string path = file->path().string();
    const bool is_ours = absl::EndsWith(path, kEnding) || absl::EndsWith(path, kDraftEnding);
    if (is_ours && !used.contains(path)) unused.push_back(path);
  }
  for (const std::string& path : unused) unlink(path.c_str());
  if (!error) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("cannot use ", folder_, ": ", error.message()));
}

absl::StatusOr<SnapshotDraft> SnapshotFolder::Write(const SnapshotHead& head,
                                                    const CollectionIndex& index) const {
  const std::string place = PathOf(head.id);
  std::string path = absl::StrCat(folder_, "/XXXXXX", kDraftEnding);
  const int fd = mkostemps(path.data(), sizeof kDraftEnding - 1, O_CLOEXEC);  // mode 0600
  if (fd < 0) return Failed("make a file in", folder_);
  const auto closing = absl::MakeCleanup([fd] { close(fd); });
  SnapshotWriter writer(fd);
  WriteHead(head, writer);
  index.Save(writer);
  const absl::Status written = writer.Finish();
  SnapshotDraft draft(path, place, writer.bytes());
  AIB_RETURN_IF_ERROR(written);
  if (fsync(fd) != 0) return Failed("sync", path);
  return draft;
}

absl::StatusOr<std::shared_ptr<CollectionIndex>> SnapshotFolder::Read(
    const SnapshotHead& expected, absl::FunctionRef<DocumentPtr(int64_t seq)> find) const {
  const std::string path = PathOf(expected.id);
  // Opening anything but a plain file must not block.
  const int fd = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return absl::NotFoundError("there is none");
  if (fd < 0) return Failed("open", path);
  const auto closing = absl::MakeCleanup([fd] { close(fd); });
  struct stat about {};
  if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) {
    return absl::DataLossError("it is no plain file");
  }
  SnapshotReader reader(fd, static_cast<uint64_t>(about.st_size));
  const SnapshotHead head = ReadHead(reader);
  reader.Check(IsSame(head, expected), "it is of another generation");
  auto index = std::make_shared<CollectionIndex>();
  if (reader.ok()) index->Load(head, find, reader);
  if (!reader.ok()) return absl::DataLossError(reader.problem());
  return index;
}

void SnapshotFolder::Remove(const CollectionId& collection) const {
  const std::string path = PathOf(collection);
  if (unlink(path.c_str()) == 0) (void)SyncFolderOf(path);
}

}  // namespace aibackend::retrieval
