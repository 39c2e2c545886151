// Where the snapshots of the collections' indexes are: one file a collection, in one folder.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "server/retrieval/collection_index.h"
#include "server/retrieval/index_snapshot.h"

namespace aibackend::retrieval {

// A snapshot that is written, but not yet the collection's. Gone with this object, unless it was
// put in place.
class SnapshotDraft {
 public:
  SnapshotDraft() = default;  // of nothing
  SnapshotDraft(std::string path, std::string place, uint64_t bytes);
  SnapshotDraft(SnapshotDraft&& other) noexcept;
  SnapshotDraft& operator=(SnapshotDraft&& other) noexcept;
  ~SnapshotDraft();

  // Takes the place of the snapshot before, all at once; when it returns a crash of the machine
  // does not bring that one back.
  absl::Status Commit();
  bool is_empty() const { return path_.empty(); }
  uint64_t bytes() const { return bytes_; }

 private:
  std::string path_;  // empty: nothing to remove
  std::string place_;
  uint64_t bytes_ = 0;
};

// A snapshot is a cache: whatever goes wrong with one costs time, nothing else. No other process
// may use the folder. Thread-safe, but one thread at a time writes the snapshots of a collection.
class SnapshotFolder {
 public:
  // Empty: nothing is kept.
  explicit SnapshotFolder(std::string folder) : folder_(std::move(folder)) {}

  bool is_kept() const { return !folder_.empty(); }

  // Makes the folder, for its owner only. Removes what a crash left half written, and snapshots of
  // collections that are no more.
  absl::Status Prepare(const std::vector<CollectionId>& collections) const;

  // Writes a snapshot beside the one in place, down to the disk. The rules of
  // CollectionIndex::Save() hold.
  absl::StatusOr<SnapshotDraft> Write(const SnapshotHead& head, const CollectionIndex& index) const;

  // The index of the collection's snapshot, if it is whole and of `expected`; see
  // CollectionIndex::Load(). kNotFound where there is none, kDataLoss with the reason for one that
  // is of no use.
  absl::StatusOr<std::shared_ptr<CollectionIndex>> Read(
      const SnapshotHead& expected, absl::FunctionRef<DocumentPtr(int64_t seq)> find) const;

  // No error where there is none.
  void Remove(const CollectionId& collection) const;

  // Names come from outside: the file is called by a digest of them.
  std::string PathOf(const CollectionId& collection) const;

 private:
  std::string folder_;
};

}  // namespace aibackend::retrieval
