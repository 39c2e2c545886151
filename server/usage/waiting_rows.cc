#include "server/usage/waiting_rows.h"

#include <algorithm>
#include <utility>

#include "server/base/status.h"
#include "server/usage/ledger_sql.h"
#include "spdlog/spdlog.h"

namespace aibackend::usage {
namespace {

using storage::Session;
using storage::Value;

// Rows that are copied at a time for the spool, while requests wait: 8 MiB, two milliseconds.
constexpr size_t kSpoolSlice = 64;

}  // namespace

size_t WaitingRows::Entry::content_bytes() const {
  size_t bytes = 0;
  for (const size_t at : {kPromptAt, kResponseAt, kDetailAt}) {
    bytes += std::get<std::string>(parameters[at]).size();
  }
  return bytes;
}

WaitingRows::WaitingRows(storage::Database& database, storage::GroupWriter& writer,
                         Ledger::Options options)
    : writer_(writer),
      options_(std::move(options)),
      spool_(options_.spool_folder.empty()
                 ? nullptr
                 : std::make_unique<LedgerSpool>(
                       database,
                       RowSpool::Options{options_.spool_folder, options_.spool_bytes_max})) {}

void WaitingRows::Watch() {
  auto self = shared_from_this();
  writer_.SetHooks({[self] { self->OnUnavailable(); }, [self] { self->OnBatchDone(); }});
}

void WaitingRows::Put(const RequestRow& row, bool ended) {
  std::vector<Value> parameters =
      UpsertParameters(row, options_.log_content, options_.content_bytes_max);
  absl::MutexLock lock(&mutex_);
  const auto waiting = entries_.find(row.row_id);
  if (waiting != entries_.end()) {
    // As in the database: what has ended stays as it ended.
    if (!waiting->second->ended) Hold(*waiting->second, std::move(parameters), ended);
    return;
  }
  auto entry = std::make_shared<Entry>();
  Hold(*entry, std::move(parameters), ended);
  if (alone_ && SpoolAlone(*entry)) {
    content_bytes_ -= entry->content_bytes();
  } else if (Enqueue(entry)) {
    entries_.emplace(row.row_id, std::move(entry));
  } else {
    if (alone_ || !SpoolAlone(*entry)) Lose(*entry, "the writer's queue is full");
    content_bytes_ -= entry->content_bytes();
  }
}

void WaitingRows::Hold(Entry& entry, std::vector<Value> parameters, bool ended) {
  if (!entry.parameters.empty()) content_bytes_ -= entry.content_bytes();
  entry.parameters = std::move(parameters);
  entry.ended = ended;
  entry.spooled = false;
  if (content_bytes_ + entry.content_bytes() > options_.waiting_bytes_max) {
    for (const size_t at : {kPromptAt, kResponseAt, kDetailAt}) entry.text(at).clear();
  }
  content_bytes_ += entry.content_bytes();
}

bool WaitingRows::Enqueue(const EntryPtr& entry) {
  auto write = [self = shared_from_this(), entry](Session& session) {
    self->Take(*entry);
    return session.Execute(UpsertSql(), entry->parameters).status();
  };
  auto on_dropped = [self = shared_from_this(), entry](const absl::Status& status) {
    self->OnDropped(*entry, status);
  };
  entry->number = queued_ + 1;
  if (!writer_.Enqueue(std::move(write), std::move(on_dropped))) return false;
  ++queued_;
  return true;
}

bool WaitingRows::SpoolAlone(const Entry& entry) {
  if (!spool_ || !spool_->Append({EncodeSpooledRow(entry.parameters, /*alone=*/true)})) {
    return false;
  }
  if (!alone_) spooled_to_ = queued_;
  alone_ = true;
  ++spooled_;
  in_spool_ = true;
  return true;
}

void WaitingRows::Lose(Entry& entry, const char* why) {
  // A beginning that is lost is made good by its end.
  if (entry.ended) ++lost_;
  spdlog::error("usage: the {} of request {} was not kept: {}", entry.ended ? "end" : "beginning",
                entry.text(kRequestIdAt), why);
}

// --- On the writer's thread

// From now on only the writer touches the entry. A write that runs again finds it taken.
void WaitingRows::Take(Entry& entry) {
  absl::MutexLock lock(&mutex_);
  if (entry.taken) return;
  entry.taken = true;
  content_bytes_ -= entry.content_bytes();
  taken_to_ = entry.number;
  const auto waiting = entries_.find(entry.text(kRowIdAt));
  taken_.push_back(waiting->second);
  entries_.erase(waiting);
}

void WaitingRows::OnDropped(Entry& entry, const absl::Status& status) {
  Take(entry);
  // The writer stops, and the database is still away: the next process writes it.
  if (spool_ && ReasonOf(status) == Reason::DATABASE_UNAVAILABLE) {
    if (entry.spooled) return;
    if (spool_->Append({EncodeSpooledRow(entry.parameters, /*alone=*/false)})) return;
  }
  Lose(entry, "the database refused it or stayed away");
}

void WaitingRows::OnUnavailable() {
  if (!spool_) return;
  std::vector<EntryPtr> rows;
  {
    absl::MutexLock lock(&mutex_);
    // Those taken first: of one row they are older than those that wait.
    for (const EntryPtr& entry : taken_) {
      if (!entry->spooled) rows.push_back(entry);
    }
    for (const auto& [row_id, entry] : entries_) {
      if (!entry->spooled) rows.push_back(entry);
    }
    in_spool_ = in_spool_ || !rows.empty();
    spooled_to_ = queued_;
  }
  for (absl::Span<const EntryPtr> rest = rows; !rest.empty(); rest.remove_prefix(kSpoolSlice)) {
    if (!SpoolSlice(rest.subspan(0, kSpoolSlice)) || rest.size() <= kSpoolSlice) break;
  }
  spool_->Sync();
  if (!rows.empty()) {
    spdlog::warn("usage: the database is away; {} rows more are in the spool on disk", rows.size());
  }
}

bool WaitingRows::SpoolSlice(absl::Span<const EntryPtr> slice) {
  std::vector<std::string> records;
  {
    absl::MutexLock lock(&mutex_);
    for (const EntryPtr& entry : slice) {
      records.push_back(EncodeSpooledRow(entry->parameters, /*alone=*/false));
      entry->spooled = true;
    }
  }
  if (spool_->Append(records)) {
    spooled_ += static_cast<int64_t>(records.size());
    return true;
  }
  absl::MutexLock lock(&mutex_);
  for (const EntryPtr& entry : slice) entry->spooled = false;
  return false;
}

void WaitingRows::OnBatchDone() {
  uint64_t from = 0;
  bool only_alone = false;
  {
    absl::MutexLock lock(&mutex_);
    taken_.clear();
    if (!in_spool_ || taken_to_ < spooled_to_) return;
    if (!alone_ && left_is_replayed_) {
      spool_->Clear();
      in_spool_ = false;
      return;
    }
    from = drained_to_;
    only_alone = left_is_replayed_;
  }
  DrainSpool(from, only_alone);
}

// One step, so that the queue doesn't wait for long; an empty write in the queue asks for the next.
// A spool that can't be read is asked again after a while, whether rows come meanwhile or not.
void WaitingRows::DrainSpool(uint64_t from, bool only_alone) {
  const auto step = spool_->Replay(from, only_alone);
  if (!step.ok() && ReasonOf(step.status()) != Reason::DATABASE_UNAVAILABLE) {
    return writer_.CallDoneAfter(options_.spool_retry);
  }
  if (step.ok()) {
    lost_ += step->lost;
    absl::MutexLock lock(&mutex_);
    drained_to_ = step->next;
    if (step->at_end && spool_->ClearIfEndsAt(step->next)) {
      drained_to_ = 0;
      in_spool_ = false;
      alone_ = false;
      left_is_replayed_ = true;
      return;
    }
  }
  // Where it is full, other writes ask for it.
  (void)writer_.Enqueue([](Session&) { return absl::OkStatus(); });
}

// --- At a start, and for who reads

absl::StatusOr<int64_t> WaitingRows::ReplayLeft() {
  int64_t written = 0;
  LedgerSpool::Step step;
  step.at_end = !spool_;
  while (!step.at_end) {
    AIB_ASSIGN_OR_RETURN(step, spool_->Replay(step.next, /*only_alone=*/false));
    written += step.written;
    lost_ += step.lost;
  }
  absl::MutexLock lock(&mutex_);
  if (spool_ && !in_spool_) spool_->ClearIfEndsAt(step.next);
  left_is_replayed_ = true;
  return written;
}

absl::Status WaitingRows::Settle(absl::Duration timeout) {
  if (!writer_.Flush(timeout)) {
    return MakeError(Reason::DATABASE_UNAVAILABLE, "rows of the ledger still wait to be written");
  }
  absl::MutexLock lock(&mutex_);
  if (!alone_) return absl::OkStatus();
  return MakeError(Reason::DATABASE_UNAVAILABLE, "rows of the ledger still wait in the spool");
}

}  // namespace aibackend::usage
