#include "server/usage/usage_export.h"

#include <limits>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "aibackend/v1/usage.pb.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/json_util.h"
#include "nlohmann/json.hpp"
#include "tests/unit/server/usage/ledger_fixture.h"

namespace aibackend::usage {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string Csv(const RequestRow& row) {
  return ExportLine(ExportFormat::kCsv, row);
}

// The values of a line without quotes, by the names of the head.
std::string ValueOf(const RequestRow& row, const std::string& name) {
  const std::vector<std::string> names =
      absl::StrSplit(ExportHead(ExportFormat::kCsv), absl::ByAnyChar(",\r"));
  const std::vector<std::string> values = absl::StrSplit(Csv(row), absl::ByAnyChar(",\r"));
  EXPECT_EQ(names.size(), values.size());
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return values[i];
  }
  return "no such column";
}

// Of RFC 4180, one line.
std::vector<std::string> ParseCsv(const std::string& text) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (size_t i = 0; i + 2 < text.size(); ++i) {  // less its CRLF
    if (text[i] == '"' && quoted && text[i + 1] == '"') {
      fields.back() += text[++i];
    } else if (text[i] == '"') {
      quoted = !quoted;
    } else if (text[i] == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += text[i];
    }
  }
  return fields;
}

RequestRow Full() {
  RequestRow row = SampleRow("row", RequestStatus::kError);
  row.prompt = "Wie geht's? \"Gut\"\n\xE6\x97\xA5\xE6\x9C\xAC";
  row.response = "a,b";
  row.prompt_bytes = 7;
  row.response_bytes = 8;
  row.prompt_tokens = 9;
  row.completion_tokens = 10;
  row.usage_estimated = true;
  row.cached_tokens = 11;
  row.reasoning_tokens = 12;
  row.upstream_calls = 13;
  row.replay_of = "other";
  row.cost = NanoUsd{(int64_t{1} << 53) + 1};  // no double holds it
  row.price_version = std::numeric_limits<int64_t>::max();
  row.response_time_ms = 14;
  row.ttft_ms = 15;
  row.error_reason = "INTERNAL";
  row.tenant = "acme";
  row.key_id = "key_1";
  row.cache = "semantic";
  row.guardrails = "a:b,c:d";
  row.shadow_limit = "key.tokens_per_day";
  row.trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
  row.detail = "{}";
  return row;
}

// What the contract's own JSON is of the line's message.
json AsTheContractWritesIt(const std::string& line) {
  v1::RequestLog message;
  google::protobuf::util::JsonParseOptions strict;
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(line, &message, strict).ok()) << line;
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string text;
  EXPECT_TRUE(google::protobuf::util::MessageToJsonString(message, &text, options).ok());
  return json::parse(text);
}

TEST(UsageExportTest, AJsonLineIsTheContractsMessage) {
  RequestRow unknown = Full();
  unknown.price_unknown = true;
  RequestRow whole_second = Full();
  whole_second.created_at = absl::FromUnixSeconds(1'700'000'000);
  RequestRow millisecond = Full();
  millisecond.created_at = absl::FromUnixMillis(1'700'000'000'120);
  RequestRow free_of_charge = Full();
  free_of_charge.cost = NanoUsd{0};
  for (const RequestRow& row :
       {Full(), unknown, whole_second, millisecond, free_of_charge, SampleRow("runs")}) {
    const std::string line = ExportLine(ExportFormat::kJsonLines, row);
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    EXPECT_EQ(json::parse(line), AsTheContractWritesIt(line));
    EXPECT_EQ(json::parse(line).contains("cost_nano_usd"), !row.price_unknown);
  }
}

TEST(UsageExportTest, BothFormatsHaveEveryFieldOfTheContractInItsOrder) {
  const google::protobuf::Descriptor& contract = *v1::RequestLog::descriptor();
  std::vector<std::string> names;
  for (int i = 0; i < contract.field_count(); ++i) names.push_back(contract.field(i)->name());
  EXPECT_EQ(ParseCsv(ExportHead(ExportFormat::kCsv)), names);
  EXPECT_EQ(ExportHead(ExportFormat::kJsonLines), "");
  std::vector<std::string> keys;
  const auto ordered = nlohmann::ordered_json::parse(ExportLine(ExportFormat::kJsonLines, Full()));
  for (const auto& [key, value] : ordered.items()) keys.push_back(key);
  EXPECT_EQ(keys, names);
}

TEST(UsageExportTest, ACsvLineReadsBackAsTheJsonSays) {
  const json values = json::parse(ExportLine(ExportFormat::kJsonLines, Full()));
  const std::vector<std::string> names = ParseCsv(ExportHead(ExportFormat::kCsv));
  const std::vector<std::string> fields = ParseCsv(Csv(Full()));
  ASSERT_EQ(fields.size(), names.size());
  for (size_t i = 0; i < names.size(); ++i) {
    const json& value = values[names[i]];
    EXPECT_EQ(fields[i], value.is_string() ? value.get<std::string>() : value.dump()) << names[i];
  }
}

TEST(UsageExportTest, ATextThatASpreadsheetWouldRunIsGuardedAndANumberIsNot) {
  RequestRow row = SampleRow("r", RequestStatus::kOk);
  for (const char* text : {"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"}) {
    row.user_id = text;
    EXPECT_THAT(Csv(row), HasSubstr(absl::StrCat("'", text))) << text;
    EXPECT_EQ(json::parse(ExportLine(ExportFormat::kJsonLines, row))["user_id"], text);
  }
  row.user_id = "a=b";
  EXPECT_EQ(ValueOf(row, "user_id"), "a=b");
  row.cost = NanoUsd{-5};
  EXPECT_EQ(ValueOf(row, "cost_nano_usd"), "-5");
}

TEST(UsageExportTest, AnUnknownCostIsAnEmptyField) {
  RequestRow row = SampleRow("r", RequestStatus::kOk);
  EXPECT_EQ(ValueOf(row, "cost_nano_usd"), "0");
  row.price_unknown = true;
  EXPECT_EQ(ValueOf(row, "cost_nano_usd"), "");
  EXPECT_EQ(ValueOf(row, "estimated_cost"), "");
  EXPECT_EQ(ValueOf(row, "price_unknown"), "true");
}

TEST(UsageExportTest, ALineBeginsWithItsFirstFieldThoughItIsEmpty) {
  RequestRow row = SampleRow("r", RequestStatus::kOk);
  row.request_id = RequestId();
  EXPECT_THAT(Csv(row), StartsWith(",2023-"));
}

TEST(UsageExportTest, BytesThatAreNoTextDontBreakALine) {
  RequestRow row = SampleRow("r", RequestStatus::kOk);
  row.prompt = "a\xFF";
  EXPECT_EQ(json::parse(ExportLine(ExportFormat::kJsonLines, row))["prompt"], "a\xEF\xBF\xBD");
}

TEST(UsageExportTest, FormatsHaveNames) {
  EXPECT_EQ(ExportFormatOf("csv"), ExportFormat::kCsv);
  EXPECT_EQ(ExportFormatOf("jsonl"), ExportFormat::kJsonLines);
  EXPECT_EQ(ExportFormatOf("xlsx"), absl::nullopt);
}

class UsageReaderTest : public LedgerFixture {};

TEST_F(UsageReaderTest, TenThousandRowsComeOnceEachOldestFirstInBatches) {
  constexpr int kRows = 10'000;
  for (int i = 0; i < kRows; ++i) {
    RequestRow row = Row(absl::StrCat("r", 100'000 + i), RequestStatus::kOk);
    row.created_at += absl::Microseconds(i / 7);
    row.tenant = i % 10 == 0 ? "other" : "acme";
    ledger_->End(row);
  }
  Flush();
  UsageFilter filter;
  filter.tenant = "acme";
  UsageReader reader = ledger_->Read(filter);
  std::vector<std::string> ids;
  for (;;) {
    const auto rows = reader.Next();
    ASSERT_TRUE(rows.ok()) << rows.status();
    if (rows->empty()) break;
    EXPECT_LE(rows->size(), UsageReader::kBatchRowsMax);
    for (const RequestRow& row : *rows) ids.push_back(row.row_id);
  }
  EXPECT_EQ(ids.size(), kRows * 9u / 10);
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), ids.size());
  EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
}

TEST_F(UsageReaderTest, ABatchIsBoundedByItsContentToo) {
  for (int i = 0; i < 100; ++i) {
    RequestRow row = Row(absl::StrCat("r", i), RequestStatus::kOk);
    row.prompt = std::string(64 << 10, 'p');
    row.response = row.prompt;
    ledger_->End(row);
  }
  Flush();
  UsageReader reader = ledger_->Read({});
  EXPECT_EQ(reader.Next()->size(), UsageReader::kBatchBytesMax / (128 << 10));
}

TEST_F(UsageReaderTest, ARowThatArrivesWhileItReadsComesToo) {
  ledger_->End(Row("a", RequestStatus::kOk));
  Flush();
  UsageReader reader = ledger_->Read({});
  EXPECT_EQ(reader.Next()->size(), 1u);
  ledger_->End(Row("b", RequestStatus::kOk));
  Flush();
  EXPECT_EQ(reader.Next()->at(0).row_id, "b");
  EXPECT_TRUE(reader.Next()->empty());
}

}  // namespace
}  // namespace aibackend::usage
