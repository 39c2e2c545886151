// aibackend usage, request
#include <filesystem>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/client/cli_fixture.h"

namespace aibackend::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

class CliUsageTest : public CliTest {
 protected:
  static v1::BodyPiece Piece(const std::string& data, const std::string& content_type = {}) {
    v1::BodyPiece piece;
    piece.set_data(data);
    piece.set_content_type(content_type);
    return piece;
  }
  // The export is two pieces, the first of which ends within a line; then `end`.
  void ExportsTwoPieces(grpc::Status end = grpc::Status::OK) {
    backend_.admin.export_usage = [this, end](const v1::ExportUsageRequest& request,
                                              FakeAdmin::Writer& writer) {
      export_ = request;
      writer.Write(Piece("request_id,mod", "text/csv"));
      writer.Write(Piece("el\r\nreq_1,m\r\n"));
      return end;
    };
  }
  bool Exists(const std::string& name) const { return std::filesystem::exists(folder_ / name); }
  std::string Path(const std::string& name) const { return (folder_ / name).string(); }

  v1::ExportUsageRequest export_;
};

TEST_F(CliUsageTest, TheLedgerIsListedWithAQuestionMarkForACostThatIsNotKnown) {
  backend_.admin.list_usage = [](const v1::ListUsageRequest& request,
                                 v1::ListUsageResponse& response) {
    EXPECT_EQ(request.page_size(), 100);
    EXPECT_FALSE(request.has_from());
    auto& priced = *response.add_requests();
    priced.set_request_id("req_2");
    priced.set_status(v1::RequestLog::OK);
    priced.set_prompt_tokens(3);
    priced.set_completion_tokens(4);
    priced.set_cost_nano_usd(0);
    auto& unpriced = *response.add_requests();
    unpriced.set_request_id("req_1");
    unpriced.set_status(v1::RequestLog::ERROR);
    unpriced.set_error_reason("UPSTREAM_TIMEOUT");
    unpriced.set_price_unknown(true);
    return grpc::Status::OK;
  };
  const auto result = Run({"usage"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out,
            "TIME  REQUEST  ENDPOINT  MODEL  STATUS  TOKENS  COST          MS  REASON\n"
            "-     req_2                     OK      3+4     $0.000000000  0\n"
            "-     req_1                     ERROR   0+0     ?             0   UPSTREAM_TIMEOUT\n");
}

TEST_F(CliUsageTest, EveryFilterIsSent) {
  v1::ListUsageRequest seen;
  backend_.admin.list_usage = [&](const v1::ListUsageRequest& request, v1::ListUsageResponse&) {
    seen = request;
    return grpc::Status::OK;
  };
  const auto result =
      Run({"usage",    "--from",   "2026-01-31", "--to",       "2026-01-31T10:30:00+01:00",
           "--model",  "m",        "--user",     "u1",         "--key",
           "key_1",    "--tenant", "acme",       "--endpoint", "ChatStream",
           "--status", "error",    "--limit",    "5",          "--json"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("\"requests\": []"));
  EXPECT_EQ(seen.from().seconds(), 1'769'817'600);
  EXPECT_EQ(seen.to().seconds(), 1'769'851'800);
  EXPECT_EQ(seen.model(), "m");
  EXPECT_EQ(seen.user_id(), "u1");
  EXPECT_EQ(seen.key_id(), "key_1");
  EXPECT_EQ(seen.tenant_id(), "acme");
  EXPECT_EQ(seen.endpoint(), "ChatStream");
  EXPECT_EQ(seen.status(), "ERROR");
  EXPECT_EQ(seen.page_size(), 5);
}

TEST_F(CliUsageTest, AFilterThatCanNotBeReadIsWrongUsage) {
  const auto result = Run({"usage", "--from", "yesterday"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("--from: \"yesterday\" is no day such as 2026-01-31"));
  EXPECT_EQ(Run({"usage", "--status", "FINE"}).exit_code, 2);
}

TEST_F(CliUsageTest, ASummaryIsGroupedAndSaysWhatIsNotPriced) {
  v1::SummarizeUsageRequest seen;
  backend_.admin.summarize_usage = [&](const v1::SummarizeUsageRequest& request,
                                       v1::UsageSummary& summary) {
    seen = request;
    auto& group = *summary.add_groups();
    group.set_day("2026-01-31");
    group.set_model("m");
    group.set_requests(2);
    group.set_price_unknown_requests(2);
    group.mutable_latency()->set_p50_ms(10);
    group.mutable_latency()->set_p95_ms(20);
    group.mutable_latency()->set_p99_ms(29.6);
    summary.mutable_total()->set_requests(5);
    summary.mutable_total()->set_errors(1);
    summary.mutable_total()->set_prompt_tokens(30);
    summary.mutable_total()->set_cost_nano_usd(12'300);
    summary.mutable_total()->set_price_unknown_requests(2);
    summary.set_left_out(3);
    return grpc::Status::OK;
  };
  const auto result = Run({"usage", "summary", "--by", "day,model", "--from", "2026-01-31"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(seen.group_by(), ElementsAre("day", "model"));
  EXPECT_EQ(seen.from().seconds(), 1'769'817'600);
  EXPECT_THAT(result.out,
              StartsWith("DAY         MODEL  REQUESTS  ERRORS  CANCELLED  TOKENS  COST"));
  EXPECT_THAT(result.out,
              HasSubstr("2026-01-31  m      2         0       0          0+0     ?      "
                        "         10/20/30"));
  EXPECT_THAT(result.out, HasSubstr("total              5         1       0          30+0    "
                                    "$0.000012300+?"));
  EXPECT_THAT(result.out, HasSubstr("3 groups with fewer tokens are left out"));

  EXPECT_THAT(Run({"usage", "summary"}).out, StartsWith("REQUESTS  ERRORS"));
  EXPECT_THAT(seen.group_by(), IsEmpty());
}

TEST_F(CliUsageTest, AnOptionWithoutMeaningForTheSubcommandIsRefused) {
  EXPECT_EQ(Run({"usage", "summary", "--by", "hour"}).exit_code, 2);
  EXPECT_EQ(Run({"usage", "summary", "--status", "OK"}).exit_code, 2);
  EXPECT_EQ(Run({"usage", "summary", "--limit", "5"}).exit_code, 2);
  EXPECT_EQ(Run({"usage", "export", "--json"}).exit_code, 2);
  EXPECT_EQ(Run({"usage", "export", "--limit", "5"}).exit_code, 2);
  EXPECT_EQ(Run({"usage", "export", "--format", "xml"}).exit_code, 2);
}

TEST_F(CliUsageTest, AnExportIsItsPiecesAndNothingElse) {
  ExportsTwoPieces();
  const auto result = Run({"usage", "export", "--user", "u1", "--status", "OK"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "request_id,model\r\nreq_1,m\r\n");
  EXPECT_EQ(export_.format(), "csv");
  EXPECT_EQ(export_.user_id(), "u1");
  EXPECT_EQ(export_.status(), "OK");
}

TEST_F(CliUsageTest, AnExportGoesIntoAFileThatIsThereOnceItIsWhole) {
  ExportsTwoPieces();
  const auto result = Run({"usage", "export", "--format", "jsonl", "-o", File("rows", "former")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, IsEmpty());
  EXPECT_EQ(ReadFile("rows"), "request_id,model\r\nreq_1,m\r\n");
  EXPECT_FALSE(Exists("rows.part"));
  EXPECT_EQ(export_.format(), "jsonl");
}

TEST_F(CliUsageTest, AnExportThatBreaksOffSaysSoAndLeavesNoFile) {
  ExportsTwoPieces({grpc::StatusCode::UNAVAILABLE, "Socket closed"});
  const auto to_stdout = Run({"usage", "export"});
  EXPECT_EQ(to_stdout.exit_code, 1);
  EXPECT_EQ(to_stdout.err,
            "error: the export broke off after 27 bytes and is not whole: Socket closed "
            "(SERVER_UNREACHABLE)\n");

  const auto to_file = Run({"usage", "export", "-o", File("rows", "former")});
  EXPECT_EQ(to_file.exit_code, 1);
  EXPECT_THAT(to_file.err, HasSubstr("the export broke off"));
  EXPECT_EQ(ReadFile("rows"), "former");
  EXPECT_FALSE(Exists("rows.part"));
}

TEST_F(CliUsageTest, AnExportThatIsRefusedDidNotBreakOff) {
  backend_.admin.export_usage = [](const auto&, auto&) {
    return ContractError(grpc::StatusCode::PERMISSION_DENIED, "SCOPE_MISSING", "no", "");
  };
  const auto result = Run({"usage", "export", "-o", Path("rows")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, StartsWith("error: no (SCOPE_MISSING"));
  EXPECT_FALSE(Exists("rows"));
}

TEST_F(CliUsageTest, AFileThatCanNotBeWrittenIsNamed) {
  ExportsTwoPieces();
  const auto folder = Run({"usage", "export", "-o", folder_.string()});
  EXPECT_EQ(folder.exit_code, 2);
  EXPECT_THAT(folder.err, HasSubstr("is a folder"));
  EXPECT_EQ(Run({"usage", "export", "-o", "/nonexistent/rows"}).exit_code, 2);
  const auto full = Run({"usage", "export", "-o", "/dev/full"});
  EXPECT_EQ(full.exit_code, 1);
  EXPECT_THAT(full.err, HasSubstr("/dev/full: No space left on device"));
}

TEST_F(CliUsageTest, CtrlCEndsAnExport) {
  absl::Notification over;
  backend_.admin.export_usage = [&](const auto&, FakeAdmin::Writer& writer) {
    while (writer.Write(Piece("endless "))) {
    }
    over.Notify();
    return grpc::Status::CANCELLED;
  };
  TerminalChild child(Command({"usage", "export"}));
  ASSERT_TRUE(child.WaitFor("endless")) << child.screen();
  child.Type("\x03");
  EXPECT_EQ(child.Wait(), 130);
  EXPECT_TRUE(over.WaitForNotificationWithTimeout(absl::Seconds(30)));
}

TEST_F(CliUsageTest, AControlCharacterThatIsCutInTwoDoesNotReachATerminal) {
  backend_.admin.export_usage = [](const auto&, FakeAdmin::Writer& writer) {
    writer.Write(Piece("a\xC2"));
    writer.Write(
        Piece("\x9B"
              "31mb\xC2"));
    writer.Write(Piece("\xA9."));
    return grpc::Status::OK;
  };
  TerminalChild child(Command({"usage", "export"}));
  EXPECT_EQ(child.Wait(), 0);
  EXPECT_THAT(child.screen(), HasSubstr("a31mb©."));
}

TEST_F(CliUsageTest, ARequestIsShownWithItsTimelinePassagesAndPrice) {
  backend_.admin.get_request = [](const v1::GetRequestRequest& request, v1::RequestView& view) {
    EXPECT_EQ(request.request_id(), "req_1");
    auto& log = *view.mutable_request();
    log.set_request_id("req_1");
    log.set_row_id("row_1");
    log.set_endpoint("Chat");
    log.set_status(v1::RequestLog::ERROR);
    log.set_error_reason("UPSTREAM_TIMEOUT");
    log.set_prompt_tokens(12);
    log.set_completion_tokens(34);
    log.set_cached_tokens(5);
    log.set_cost_nano_usd(12'300);
    log.set_prompt("What is FastAPI?");
    auto& step = *view.add_timeline();
    step.set_name("asked");
    step.set_at_ms(1.25);
    step.set_note("m");
    view.add_passages("doc#0");
    view.set_confidence(0.75);
    view.mutable_price()->set_model("m");
    view.mutable_price()->set_version(3);
    return grpc::Status::OK;
  };
  const auto result = Run({"request", "req_1"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, StartsWith("REQUEST         req_1\nrow             row_1\n"));
  EXPECT_THAT(result.out, HasSubstr("status          ERROR  UPSTREAM_TIMEOUT\n"));
  EXPECT_THAT(result.out, HasSubstr("tokens          12 + 34, 5 cached\n"));
  EXPECT_THAT(result.out, HasSubstr("cost            $0.000012300\n"));
  EXPECT_THAT(result.out, HasSubstr("\nMS   STEP   NOTE\n1.2  asked  m\n"));
  EXPECT_THAT(result.out, HasSubstr("\nPASSAGES  confidence 0.75\ndoc#0\n"));
  EXPECT_THAT(result.out, HasSubstr("\nm      3 "));
  EXPECT_THAT(result.out, HasSubstr("\nPROMPT\nWhat is FastAPI?\n"));
  EXPECT_THAT(result.out, Not(HasSubstr("replay of")));
  EXPECT_THAT(Run({"request", "req_1", "--json"}).out, HasSubstr("\"at_ms\": 1.25"));
}

}  // namespace
}  // namespace aibackend::client
