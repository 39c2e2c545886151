// A row of the ledger as the spool keeps it: the parameters of its upsert.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "server/storage/database.h"

namespace aibackend::usage {

struct SpooledRow {
  bool alone = false;  // it is in the spool only: no queue will write it
  std::vector<storage::Value> parameters;
};

// In this machine's byte order: a spool isn't carried to another one.
std::string EncodeSpooledRow(absl::Span<const storage::Value> parameters, bool alone);

// Absent where `bytes` are none of EncodeSpooledRow's. A row with fewer columns than UpsertSql()
// takes, which an older version wrote, has those of an empty row for the rest; one with more is
// refused.
absl::optional<SpooledRow> DecodeSpooledRow(absl::string_view bytes);

}  // namespace aibackend::usage
