// The ledger: exactly one row for each request, whatever becomes of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/ids.h"
#include "server/base/money.h"
#include "server/base/status.h"
#include "server/storage/database.h"
#include "server/storage/group_writer.h"

namespace aibackend::usage {

enum class RequestStatus { kRunning, kOk, kError, kCancelled };

// As it stands in the database and in the contract: "RUNNING", "OK", "ERROR", "CANCELLED".
const char* RequestStatusName(RequestStatus status);

struct RequestRow {
  RequestId request_id;  // not unique for a client that repeats its own; `row_id` is
  std::string row_id;
  absl::Time created_at;
  std::string endpoint;  // the RPC's name
  std::string user_id;   // this and the model: at most 256 bytes are kept
  std::string model;
  RequestStatus status = RequestStatus::kRunning;
  std::string prompt;  // empty where content is not logged
  std::string response;
  int prompt_bytes = 0;  // of the whole content; at least the size of `prompt` is kept
  int response_bytes = 0;
  int prompt_tokens = 0;
  int completion_tokens = 0;
  bool usage_estimated = false;
  int cached_tokens = 0;     // of prompt_tokens
  int reasoning_tokens = 0;  // of completion_tokens
  int upstream_calls = 0;
  std::string replay_of;  // the request id whose answer this one was given again
  NanoUsd cost;
  int response_time_ms = 0;
  int ttft_ms = 0;
  std::string error_reason;  // ReasonName, empty unless kError or kCancelled
};

// Totals over a span of time, one element a (model, status, user).
struct UsageTotal {
  std::string model;
  std::string user_id;
  RequestStatus status = RequestStatus::kOk;
  int64_t requests = 0;
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;
  NanoUsd cost;
};

struct RequestPage {
  std::vector<RequestRow> rows;  // newest first
  std::string next_page_token;   // empty on the last page
};

// Thread-safe. Begin and End don't touch the database: they queue. A row that is begun and ended
// within one commit interval is written once. `writer` may outlive the ledger, and writes what it
// was given.
class Ledger {
 public:
  struct Options {
    bool log_content = true;
    size_t content_bytes_max = 64 * 1024;  // of prompt and of response, cut on a character
    // Of all content that waits for the database; beyond it rows are kept without their content.
    size_t waiting_bytes_max = size_t{256} << 20;
  };

  Ledger(storage::Database& database, storage::GroupWriter& writer, Options options);
  ~Ledger();

  // Rows that a killed process left RUNNING become ERROR with reason INTERRUPTED; how many. Call
  // once at start, before Begin. (A process that lives and shares the file sets its rows right when
  // they end.)
  absl::StatusOr<int64_t> RecoverInterrupted();

  // A request starts; `row.row_id` must be unique (IdSource::Next).
  void Begin(const RequestRow& row);

  // The same request ends; `row` replaces what Begin wrote.
  void End(const RequestRow& row);

  // Requests whose end was not kept: the writer's queue was full, or the database refused the row.
  // Each is in the log, as an error with its request id.
  int64_t lost_rows() const;

  // Block on the database. `page_size` is brought to 1…1000; a page ends sooner where its content
  // comes to 8 MiB. Fails with PAGE_TOKEN_INVALID.
  absl::StatusOr<RequestPage> List(int page_size, const std::string& page_token);
  // Requests created in [from, to).
  absl::StatusOr<std::vector<UsageTotal>> Totals(absl::Time from, absl::Time to);

 private:
  struct Waiting;
  storage::Database& database_;
  std::shared_ptr<Waiting> waiting_;  // shared with what is queued in the writer
};

}  // namespace aibackend::usage
