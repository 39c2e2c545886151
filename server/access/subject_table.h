// The subjects of which something is kept in memory.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <list>
#include <memory>

#include "absl/container/node_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/access/gcra.h"
#include "server/access/meter.h"
#include "server/access/quota_book.h"

namespace aibackend::access {

// A read of the ledger that is under way, which others wait for.
struct BookLoad {
  bool done = false;
  absl::Status status;
};

struct SubjectState {
  int64_t requests_tat = 0;  // Gcra's, of requests a minute
  TokenBucket tokens;
  int64_t concurrent = 0;
  std::unique_ptr<QuotaBook> book;  // once a quota was asked for
  std::shared_ptr<BookLoad> load;   // while one is under way

  // The table's own.
  const Subject* name = nullptr;
  int pins = 0;
  std::list<SubjectState*>::iterator place;
};

// Not thread-safe, but for MayHaveBook.
//
// A subject that a request under way counts in is pinned and stays. When there are more than
// `subjects_max`, an unpinned one goes: of the kScanned that were unpinned longest ago the first
// that is idle (its rates are as if it had never come; what it used is in the ledger), and where
// none is, the first. So requests under way are all that can be beyond the maximum.
class SubjectTable {
 public:
  static constexpr size_t kScanned = 16;  // subjects; what an admission may cost

  explicit SubjectTable(size_t subjects_max) : subjects_max_(subjects_max) {}

  // The subject, which is made where it isn't there, and stays until it is unpinned as often.
  SubjectState& Pin(const Subject& subject, int64_t now_ns);
  void Unpin(SubjectState& state);
  // Null: it isn't there.
  SubjectState* Find(const Subject& subject);
  size_t size() const { return states_.size(); }

  // Its book, opened where there was none.
  QuotaBook& BookOf(SubjectState& state, absl::Time now);
  // False: the subject surely has no book. Thread-safe, without a lock: what nobody has a quota for
  // costs no more than this. A book that is opened at the same moment may be missed, but not by who
  // comes after the load that it is opened for has begun.
  bool MayHaveBook(const Subject& subject) const;

 private:
  void EvictOne(int64_t now_ns);

  const size_t subjects_max_;
  absl::node_hash_map<Subject, SubjectState> states_;
  std::list<SubjectState*> pinned_;
  std::list<SubjectState*> unpinned_;  // longest ago first
  // How many subjects have a book; and how many of each hash.
  std::atomic<size_t> books_open_{0};
  std::array<std::atomic<uint32_t>, 4096> books_{};
};

}  // namespace aibackend::access
