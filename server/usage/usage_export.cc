#include "server/usage/usage_export.h"

#include <cstdint>
#include <variant>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "server/base/text.h"

namespace aibackend::usage {
namespace {

using Json = nlohmann::ordered_json;

// A value as the contract has it. Free is text that somebody chose, Word one that this server made.
struct Missing {};
struct Free {
  absl::string_view text;
};
struct Word {
  std::string text;
};
using Field = std::variant<Missing, Free, Word, int32_t, int64_t, double, bool>;

struct Column {
  const char* name;
  Field (*of)(const RequestRow& row);
};

Word TimeOf(const RequestRow& row) {
  const absl::TimeZone utc = absl::UTCTimeZone();
  // protobuf writes as many digits as it needs, of 0, 3 and 6.
  const int64_t us = absl::ToUnixMicros(row.created_at) % 1'000'000;
  const char* format = us == 0          ? "%Y-%m-%dT%H:%M:%SZ"
                       : us % 1000 == 0 ? "%Y-%m-%dT%H:%M:%E3SZ"
                                        : "%Y-%m-%dT%H:%M:%E6SZ";
  return {absl::FormatTime(format, row.created_at, utc)};
}

// What an export has of a row: the fields of RequestLog, in their order.
constexpr Column kColumns[] = {
    {"request_id", [](const RequestRow& r) -> Field { return Free{r.request_id.value}; }},
    {"created_at", [](const RequestRow& r) -> Field { return TimeOf(r); }},
    {"endpoint", [](const RequestRow& r) -> Field { return Free{r.endpoint}; }},
    {"user_id", [](const RequestRow& r) -> Field { return Free{r.user_id}; }},
    {"model", [](const RequestRow& r) -> Field { return Free{r.model}; }},
    {"status", [](const RequestRow& r) -> Field { return Word{RequestStatusName(r.status)}; }},
    {"prompt", [](const RequestRow& r) -> Field { return Free{r.prompt}; }},
    {"response", [](const RequestRow& r) -> Field { return Free{r.response}; }},
    {"prompt_tokens", [](const RequestRow& r) -> Field { return int32_t{r.prompt_tokens}; }},
    {"completion_tokens",
     [](const RequestRow& r) -> Field { return int32_t{r.completion_tokens}; }},
    {"total_tokens",
     [](const RequestRow& r) -> Field { return int32_t{r.prompt_tokens + r.completion_tokens}; }},
    {"usage_estimated", [](const RequestRow& r) -> Field { return r.usage_estimated; }},
    {"estimated_cost",
     [](const RequestRow& r) -> Field {
       return r.price_unknown ? Field(Missing{}) : Field(ToUsd(r.cost));
     }},
    {"cost_nano_usd",
     [](const RequestRow& r) -> Field {
       return r.price_unknown ? Field(Missing{}) : Field(r.cost.value);
     }},
    {"response_time_ms", [](const RequestRow& r) -> Field { return int32_t{r.response_time_ms}; }},
    {"ttft_ms", [](const RequestRow& r) -> Field { return int32_t{r.ttft_ms}; }},
    {"error_reason", [](const RequestRow& r) -> Field { return Free{r.error_reason}; }},
    {"prompt_bytes", [](const RequestRow& r) -> Field { return int32_t{r.prompt_bytes}; }},
    {"response_bytes", [](const RequestRow& r) -> Field { return int32_t{r.response_bytes}; }},
    {"cached_tokens", [](const RequestRow& r) -> Field { return int32_t{r.cached_tokens}; }},
    {"reasoning_tokens", [](const RequestRow& r) -> Field { return int32_t{r.reasoning_tokens}; }},
    {"upstream_calls", [](const RequestRow& r) -> Field { return int32_t{r.upstream_calls}; }},
    {"replay_of", [](const RequestRow& r) -> Field { return Free{r.replay_of}; }},
    {"tenant_id", [](const RequestRow& r) -> Field { return Free{r.tenant}; }},
    {"key_id", [](const RequestRow& r) -> Field { return Free{r.key_id}; }},
    {"price_unknown", [](const RequestRow& r) -> Field { return r.price_unknown; }},
    {"price_version", [](const RequestRow& r) -> Field { return r.price_version; }},
    {"cache", [](const RequestRow& r) -> Field { return Free{r.cache}; }},
    {"guardrails", [](const RequestRow& r) -> Field { return Free{r.guardrails}; }},
    {"shadow_limit", [](const RequestRow& r) -> Field { return Free{r.shadow_limit}; }},
    {"trace_id", [](const RequestRow& r) -> Field { return Free{r.trace_id}; }},
    {"row_id", [](const RequestRow& r) -> Field { return Free{r.row_id}; }},
};

// --- CSV

constexpr absl::string_view kFormulaStarts = "=+-@\t\r";

void AppendQuoted(absl::string_view text, std::string& line) {
  if (text.find_first_of(",\"\r\n") == absl::string_view::npos) {
    line.append(text.data(), text.size());
    return;
  }
  line.push_back('"');
  for (const char c : text) {
    if (c == '"') line.push_back('"');
    line.push_back(c);
  }
  line.push_back('"');
}

struct ToCsv {
  std::string& line;

  void operator()(Missing) const {}
  void operator()(Free free) const {
    const bool is_formula =
        !free.text.empty() && kFormulaStarts.find(free.text[0]) != absl::string_view::npos;
    AppendQuoted(is_formula ? absl::StrCat("'", free.text) : std::string(free.text), line);
  }
  void operator()(const Word& word) const { line += word.text; }
  void operator()(int32_t number) const { absl::StrAppend(&line, number); }
  void operator()(int64_t number) const { absl::StrAppend(&line, number); }
  void operator()(double number) const { line += Json(number).dump(); }  // as short as is exact
  void operator()(bool is_so) const { line += is_so ? "true" : "false"; }
};

std::string CsvLine(const RequestRow& row) {
  std::string line;
  for (const Column& column : kColumns) {
    if (&column != kColumns) line.push_back(',');
    std::visit(ToCsv{line}, column.of(row));
  }
  return line + "\r\n";
}

std::string CsvHead() {
  std::string line;
  for (const Column& column : kColumns)
    absl::StrAppend(&line, line.empty() ? "" : ",", column.name);
  return line + "\r\n";
}

// --- JSON

struct ToJson {
  Json& json;
  const char* name;

  void operator()(Missing) const {}
  void operator()(Free free) const { json[name] = std::string(free.text); }
  void operator()(const Word& word) const { json[name] = word.text; }
  void operator()(int32_t number) const { json[name] = number; }
  void operator()(int64_t number) const { json[name] = absl::StrCat(number); }
  void operator()(double number) const { json[name] = number; }
  void operator()(bool is_so) const { json[name] = is_so; }
};

std::string JsonLine(const RequestRow& row) {
  Json json;
  for (const Column& column : kColumns) std::visit(ToJson{json, column.name}, column.of(row));
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

absl::optional<ExportFormat> ExportFormatOf(absl::string_view name) {
  if (name == "csv") return ExportFormat::kCsv;
  if (name == "jsonl") return ExportFormat::kJsonLines;
  return absl::nullopt;
}

const char* ContentTypeOf(ExportFormat format) {
  return format == ExportFormat::kCsv ? "text/csv; charset=utf-8; header=present"
                                      : "application/x-ndjson";
}

std::string ExportHead(ExportFormat format) {
  return format == ExportFormat::kCsv ? CsvHead() : std::string();
}

std::string ExportLine(ExportFormat format, const RequestRow& row) {
  return format == ExportFormat::kCsv ? CsvLine(row) : JsonLine(row);
}

}  // namespace aibackend::usage
