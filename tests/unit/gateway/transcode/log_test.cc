#include "gateway/transcode/log.h"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

namespace aibackend::gateway {
namespace {

using nlohmann::json;

// What `write` put on stderr, where the log goes.
template <class Write>
std::string Written(bool as_json, Write write) {
  testing::internal::CaptureStderr();
  StartLog("info", as_json);
  write();
  return testing::internal::GetCapturedStderr();
}

RequestLine Line() {
  RequestLine line;
  line.method = "POST";
  line.route = "/v1/chat";
  line.status = 503;
  line.duration = absl::Microseconds(1'550);
  line.bytes = 12;
  line.ending = "complete";
  line.request_id = "a \"b\" {}";
  line.trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
  return line;
}

TEST(Log, ARequestIsAnObjectOfTypedFields) {
  const std::string text = Written(true, [] { LogRequest(Line()); });
  const json line = json::parse(text);
  EXPECT_EQ(text.back(), '\n');
  EXPECT_EQ(line["level"], "warning");
  EXPECT_EQ(line["event"], "request");
  EXPECT_EQ(line["status"], 503);
  EXPECT_TRUE(line["ms"].is_number());
  EXPECT_EQ(line["bytes"], 12);
  EXPECT_EQ(line["request_id"], "a \"b\" {}");
  EXPECT_EQ(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
}

TEST(Log, AFreeLineIsAMessageWhateverStandsInIt) {
  const std::string text = Written(true, [] { spdlog::error("{}", "a\n\"}\xff{}"); });
  const json line = json::parse(text);
  EXPECT_EQ(line["level"], "error");
  EXPECT_EQ(line["msg"], "a\n\"}\xef\xbf\xbd{}");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
}

TEST(Log, AsTextARequestIsOneLineThatItsIdCannotForge) {
  RequestLine hostile = Line();
  hostile.request_id = "x\" status=200\n";
  hostile.trace_id.clear();
  const std::string text = Written(false, [&] { LogRequest(hostile); });
  EXPECT_NE(text.find("method=POST route=/v1/chat status=503 ms=1.6 bytes=12 ending=\"complete\" "
                      "request_id=\"x\\\" status=200\\n\"\n"),
            std::string::npos)
      << text;
}

}  // namespace
}  // namespace aibackend::gateway
