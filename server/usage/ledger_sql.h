// How a row of the ledger stands in the table "requests". Private to this folder and its tests.
#pragma once

#include <string>
#include <vector>

#include "server/storage/database.h"
#include "server/usage/content_policy.h"
#include "server/usage/request_row.h"

namespace aibackend::usage {

// The columns of ReadRow and UpsertParameters, in their order, with commas. New ones are added at
// the end: a spool of an older version has the first ones only.
const std::string& RequestColumns();

// Writes a row, or changes one that runs. A row that has ended is not touched, whatever comes late
// or twice, but for one that was taken for killed: a process that lives sets its row right. If that
// row was counted by a roll-up already it stays counted as it was, since to count it again would
// count one request twice.
const std::string& UpsertSql();

// Where some of its parameters stand.
constexpr size_t kRowIdAt = 0;
constexpr size_t kRequestIdAt = 1;
constexpr size_t kPromptAt = 7;
constexpr size_t kResponseAt = 8;
constexpr size_t kDetailAt = 29;

// `content_bytes_max` of the prompt and of the response.
std::vector<storage::Value> UpsertParameters(const RequestRow& row, ContentPolicy policy,
                                             size_t content_bytes_max);

// Of a SELECT of RequestColumns().
RequestRow ReadRow(const storage::Row& columns);

}  // namespace aibackend::usage
