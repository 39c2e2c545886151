#include "server/usage/ledger.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "server/base/text.h"
#include "server/storage/page_cursor.h"
#include "spdlog/spdlog.h"

namespace aibackend::usage {
namespace {

using storage::Row;
using storage::Session;
using storage::Value;

constexpr int kPageSizeMax = 1000;
// Of the rows' content: with it and two lists of 1000 names a page stays below half of what a
// message may weigh (32 MiB).
constexpr size_t kPageBytesMax = size_t{8} << 20;
// Of a user's and a model's name as a client gave them: what the contract allows a user.
constexpr size_t kNameBytesMax = 256;

#define AIB_REQUEST_COLUMNS                                                             \
  "row_id, request_id, created_at, endpoint, user_id, model, status, prompt, response," \
  " prompt_bytes, response_bytes, prompt_tokens, completion_tokens, usage_estimated,"   \
  " cost_nano_usd, response_time_ms, ttft_ms, error_reason, cached_tokens,"             \
  " reasoning_tokens, upstream_calls, replay_of"

constexpr char kUpsert[] =
    "INSERT INTO requests (" AIB_REQUEST_COLUMNS
    ")"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,"
    " $20, $21, $22)"
    " ON CONFLICT (row_id) DO UPDATE SET request_id = excluded.request_id,"
    " created_at = excluded.created_at, endpoint = excluded.endpoint, user_id = excluded.user_id,"
    " model = excluded.model, status = excluded.status, prompt = excluded.prompt,"
    " response = excluded.response, prompt_bytes = excluded.prompt_bytes,"
    " response_bytes = excluded.response_bytes, prompt_tokens = excluded.prompt_tokens,"
    " completion_tokens = excluded.completion_tokens, usage_estimated = excluded.usage_estimated,"
    " cost_nano_usd = excluded.cost_nano_usd, response_time_ms = excluded.response_time_ms,"
    " ttft_ms = excluded.ttft_ms, error_reason = excluded.error_reason,"
    " cached_tokens = excluded.cached_tokens, reasoning_tokens = excluded.reasoning_tokens,"
    " upstream_calls = excluded.upstream_calls, replay_of = excluded.replay_of";

constexpr char kFirstPage[] =
    "SELECT " AIB_REQUEST_COLUMNS " FROM requests ORDER BY created_at DESC, row_id DESC LIMIT $1";

constexpr char kNextPage[] = "SELECT " AIB_REQUEST_COLUMNS
                             " FROM requests WHERE (created_at, row_id) < ($2, $3)"
                             " ORDER BY created_at DESC, row_id DESC LIMIT $1";

constexpr char kTotals[] =
    "SELECT model, user_id, status, COUNT(*), CAST(SUM(prompt_tokens) AS BIGINT),"
    " CAST(SUM(completion_tokens) AS BIGINT), CAST(SUM(cost_nano_usd) AS BIGINT)"
    " FROM requests WHERE created_at >= $1 AND created_at < $2"
    " GROUP BY model, user_id, status ORDER BY model, user_id, status";

constexpr RequestStatus kStatuses[] = {RequestStatus::kRunning, RequestStatus::kOk,
                                       RequestStatus::kError, RequestStatus::kCancelled};

RequestStatus ParseStatus(const std::string& name) {
  for (const RequestStatus status : kStatuses) {
    if (name == RequestStatusName(status)) return status;
  }
  return RequestStatus::kError;  // the table's CHECK admits no other name
}

std::string Content(const std::string& text, const Ledger::Options& options) {
  if (!options.log_content) return {};
  return std::string(Utf8Prefix(text, options.content_bytes_max));
}

int64_t Size(int told, const std::string& text) {
  return std::max(int64_t{told}, static_cast<int64_t>(text.size()));
}

// Where some of kUpsert's parameters stand.
constexpr size_t kRequestIdAt = 1;
constexpr size_t kPromptAt = 7;
constexpr size_t kResponseAt = 8;

std::vector<Value> UpsertParameters(const RequestRow& row, const Ledger::Options& options) {
  return {row.row_id,
          row.request_id.value,
          absl::ToUnixMicros(row.created_at),
          row.endpoint,
          std::string(Utf8Prefix(row.user_id, kNameBytesMax)),
          std::string(Utf8Prefix(row.model, kNameBytesMax)),
          RequestStatusName(row.status),
          Content(row.prompt, options),
          Content(row.response, options),
          Size(row.prompt_bytes, row.prompt),
          Size(row.response_bytes, row.response),
          int64_t{row.prompt_tokens},
          int64_t{row.completion_tokens},
          int64_t{row.usage_estimated},
          row.cost.value,
          int64_t{row.response_time_ms},
          int64_t{row.ttft_ms},
          row.error_reason,
          int64_t{row.cached_tokens},
          int64_t{row.reasoning_tokens},
          int64_t{row.upstream_calls},
          row.replay_of};
}

RequestRow ReadRow(const Row& columns) {
  RequestRow row;
  row.row_id = columns.Text(0);
  row.request_id = RequestId(columns.Text(1));
  row.created_at = absl::FromUnixMicros(columns.Int(2));
  row.endpoint = columns.Text(3);
  row.user_id = columns.Text(4);
  row.model = columns.Text(5);
  row.status = ParseStatus(columns.Text(6));
  row.prompt = columns.Text(7);
  row.response = columns.Text(8);
  row.prompt_bytes = static_cast<int>(columns.Int(9));
  row.response_bytes = static_cast<int>(columns.Int(10));
  row.prompt_tokens = static_cast<int>(columns.Int(11));
  row.completion_tokens = static_cast<int>(columns.Int(12));
  row.usage_estimated = columns.Int(13) != 0;
  row.cost = NanoUsd{columns.Int(14)};
  row.response_time_ms = static_cast<int>(columns.Int(15));
  row.ttft_ms = static_cast<int>(columns.Int(16));
  row.error_reason = columns.Text(17);
  row.cached_tokens = static_cast<int>(columns.Int(18));
  row.reasoning_tokens = static_cast<int>(columns.Int(19));
  row.upstream_calls = static_cast<int>(columns.Int(20));
  row.replay_of = columns.Text(21);
  return row;
}

}  // namespace

const char* RequestStatusName(RequestStatus status) {
  switch (status) {
    case RequestStatus::kRunning:
      return "RUNNING";
    case RequestStatus::kOk:
      return "OK";
    case RequestStatus::kCancelled:
      return "CANCELLED";
    case RequestStatus::kError:
      break;
  }
  return "ERROR";
}

// The rows that are queued and not yet being written. A row that changes while it is here changes
// in place; once the writer has taken it, a change is queued behind it as a row of its own.
struct Ledger::Waiting : std::enable_shared_from_this<Waiting> {
  struct Entry {
    std::vector<Value> parameters;  // the writer's alone once `taken`, else guarded by the mutex
    bool ended = false;
    bool taken = false;

    const std::string& request_id() const {
      return std::get<std::string>(parameters[kRequestIdAt]);
    }
    size_t content_bytes() const {
      return std::get<std::string>(parameters[kPromptAt]).size() +
             std::get<std::string>(parameters[kResponseAt]).size();
    }
  };

  Waiting(storage::GroupWriter& w, Options o) : writer(w), options(o) {}

  void Put(const RequestRow& row, bool ended);
  void Hold(Entry& entry, std::vector<Value> parameters, bool ended)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void Take(Entry& entry);
  void Lose(const Entry& entry, const char* why);

  storage::GroupWriter& writer;
  const Options options;
  std::atomic<int64_t> lost{0};

  absl::Mutex mutex;
  absl::flat_hash_map<std::string, std::shared_ptr<Entry>> entries
      ABSL_GUARDED_BY(mutex);                       // by row_id
  size_t content_bytes ABSL_GUARDED_BY(mutex) = 0;  // of `entries`
};

void Ledger::Waiting::Put(const RequestRow& row, bool ended) {
  std::vector<Value> parameters = UpsertParameters(row, options);
  absl::MutexLock lock(&mutex);
  auto [found, fresh] = entries.try_emplace(row.row_id);
  std::shared_ptr<Entry>& entry = found->second;
  if (fresh) entry = std::make_shared<Entry>();
  Hold(*entry, std::move(parameters), ended);
  if (!fresh) return;

  auto write = [self = shared_from_this(), entry = entry](Session& session) {
    self->Take(*entry);
    return session.Execute(kUpsert, entry->parameters).status();
  };
  auto on_dropped = [self = shared_from_this(), entry = entry](const absl::Status&) {
    self->Take(*entry);
    self->Lose(*entry, "the database refused it or stayed away");
  };
  if (writer.Enqueue(std::move(write), std::move(on_dropped))) return;
  Lose(*entry, "the writer's queue is full");
  content_bytes -= entry->content_bytes();
  entries.erase(found);
}

void Ledger::Waiting::Hold(Entry& entry, std::vector<Value> parameters, bool ended) {
  if (!entry.parameters.empty()) content_bytes -= entry.content_bytes();
  entry.parameters = std::move(parameters);
  entry.ended = ended;
  if (content_bytes + entry.content_bytes() > options.waiting_bytes_max) {
    entry.parameters[kPromptAt] = std::string();
    entry.parameters[kResponseAt] = std::string();
  }
  content_bytes += entry.content_bytes();
}

// From now on only the writer touches the entry. A write that runs again finds it taken.
void Ledger::Waiting::Take(Entry& entry) {
  absl::MutexLock lock(&mutex);
  if (entry.taken) return;
  entry.taken = true;
  content_bytes -= entry.content_bytes();
  entries.erase(std::get<std::string>(entry.parameters[0]));
}

void Ledger::Waiting::Lose(const Entry& entry, const char* why) {
  // A beginning that is lost is made good by its end.
  if (entry.ended) ++lost;
  spdlog::error("usage: the {} of request {} was not kept: {}", entry.ended ? "end" : "beginning",
                entry.request_id(), why);
}

Ledger::Ledger(storage::Database& database, storage::GroupWriter& writer, Options options)
    : database_(database), waiting_(std::make_shared<Waiting>(writer, options)) {}

Ledger::~Ledger() = default;

absl::StatusOr<int64_t> Ledger::RecoverInterrupted() {
  int64_t recovered = 0;
  AIB_RETURN_IF_ERROR(database_.Write([&](Session& session) -> absl::Status {
    AIB_ASSIGN_OR_RETURN(recovered,
                         session.Execute("UPDATE requests SET status = 'ERROR', error_reason = $1"
                                         " WHERE status = 'RUNNING'",
                                         {ReasonName(Reason::INTERRUPTED)}));
    return absl::OkStatus();
  }));
  return recovered;
}

void Ledger::Begin(const RequestRow& row) {
  waiting_->Put(row, /*ended=*/false);
}

void Ledger::End(const RequestRow& row) {
  waiting_->Put(row, /*ended=*/true);
}

int64_t Ledger::lost_rows() const {
  return waiting_->lost;
}

absl::StatusOr<RequestPage> Ledger::List(int page_size, const std::string& page_token) {
  const size_t limit = std::clamp(page_size, 1, kPageSizeMax);
  // One more than asked for tells whether there is a next page.
  std::vector<Value> parameters = {static_cast<int64_t>(limit + 1)};
  if (!page_token.empty()) {
    AIB_ASSIGN_OR_RETURN(storage::PageCursor cursor, storage::DecodePageToken(page_token));
    parameters.insert(parameters.end(), {cursor.at_us, std::move(cursor.id)});
  }
  RequestPage page;
  bool has_more = false;
  AIB_RETURN_IF_ERROR(database_.Read([&](Session& session) {
    page.rows.clear();
    has_more = false;
    size_t bytes = 0;
    const auto take = [&](const Row& columns) {
      has_more = has_more || page.rows.size() == limit || bytes >= kPageBytesMax;
      if (has_more) return;
      page.rows.push_back(ReadRow(columns));
      bytes += page.rows.back().prompt.size() + page.rows.back().response.size();
    };
    return session.Query(page_token.empty() ? kFirstPage : kNextPage, parameters, take);
  }));
  if (has_more) {
    const RequestRow& last = page.rows.back();
    page.next_page_token =
        storage::EncodePageToken({absl::ToUnixMicros(last.created_at), last.row_id});
  }
  return page;
}

absl::StatusOr<std::vector<UsageTotal>> Ledger::Totals(absl::Time from, absl::Time to) {
  std::vector<UsageTotal> totals;
  AIB_RETURN_IF_ERROR(database_.Read([&](Session& session) {
    totals.clear();
    return session.Query(
        kTotals, {absl::ToUnixMicros(from), absl::ToUnixMicros(to)}, [&](const Row& row) {
          totals.push_back({row.Text(0), row.Text(1), ParseStatus(row.Text(2)), row.Int(3),
                            row.Int(4), row.Int(5), NanoUsd{row.Int(6)}});
        });
  }));
  return totals;
}

}  // namespace aibackend::usage
