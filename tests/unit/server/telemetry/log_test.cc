#include "server/telemetry/log.h"

#include <algorithm>
#include <limits>
#include <random>
#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "spdlog/sinks/ostream_sink.h"
#include "spdlog/spdlog.h"

namespace aibackend::telemetry {
namespace {

using nlohmann::json;

class LogTest : public testing::Test {
 protected:
  LogTest() {
    auto logger = std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(out_));
    logger->set_pattern("%l %v");
    spdlog::set_default_logger(logger);
  }
  std::ostringstream out_;
};

TEST_F(LogTest, AnEventIsOneLineOfKeysAndValues) {
  Log(Event::kRequestFinished, {{"rpc", "Chat"}, {"ms", 12}});
  EXPECT_EQ(out_.str(), "info event=request_finished rpc=Chat ms=12\n");
}

TEST_F(LogTest, WhatHasNoValueMayBeLeftOut) {
  Log(Event::kRequestFinished,
      {Field::IfAny("trace_id", ""), Field::IfAny("trace_id", "7"), {"ms", 1}});
  EXPECT_EQ(out_.str(), "info event=request_finished trace_id=7 ms=1\n");
}

TEST_F(LogTest, AValueCannotForgeALine) {
  Log(Event::kRequestStarted, {{"peer", "x\nerror event=server_stopped \"q\""}});
  EXPECT_EQ(out_.str(),
            "info event=request_started peer=\"x\\nerror event=server_stopped \\\"q\\\"\"\n");
}

TEST_F(LogTest, AnUnknownLevelOrFormatIsRefused) {
  EXPECT_THAT(std::string(StartLog("loud").message()), testing::HasSubstr("loud"));
  EXPECT_THAT(std::string(StartLog("info", "xml").message()), testing::HasSubstr("xml"));
}

class JsonLogTest : public testing::Test {
 protected:
  JsonLogTest() {
    spdlog::set_default_logger(*MakeLogger("info", LogFormat::kJson,
                                           std::make_shared<spdlog::sinks::ostream_sink_mt>(out_)));
  }

  // The one line there is, which must be one, and an object.
  json Line() {
    const std::string text = out_.str();
    out_.str("");
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
    json line = json::parse(text, nullptr, /*allow_exceptions=*/false);
    EXPECT_TRUE(line.is_object()) << text;
    return line;
  }

  std::ostringstream out_;
};

TEST_F(JsonLogTest, AnEventIsAnObjectOfTypedFields) {
  Log(Event::kCircuitOpened, {{"request_id", "req_1"},
                              {"trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"},
                              {"ms", 12},
                              {"share", 0.5},
                              {"is_probe", true},
                              {"number", "12"}});
  const json line = Line();
  EXPECT_THAT(line["ts"].get<std::string>(),
              testing::MatchesRegex("[0-9-]+T[0-9]+:[0-9]+:[0-9]+[.][0-9]+Z"));
  EXPECT_EQ(line["ts"].get<std::string>().size(),
            std::string("2025-01-01T00:00:00.123456Z").size());
  EXPECT_EQ(line["level"], "warning");
  EXPECT_EQ(line["event"], "circuit_opened");
  EXPECT_EQ(line["request_id"], "req_1");
  EXPECT_EQ(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_TRUE(line["ms"].is_number_integer());
  EXPECT_EQ(line["share"], 0.5);
  EXPECT_EQ(line["is_probe"], true);
  EXPECT_EQ(line["number"], "12");
}

TEST_F(JsonLogTest, AFreeLineIsAMessageWhateverStandsInIt) {
  spdlog::error("cannot {}: {}", "open", "\"x\"\n{\"level\":\"info\"}");
  const json line = Line();
  EXPECT_EQ(line["level"], "error");
  EXPECT_EQ(line["msg"], "cannot open: \"x\"\n{\"level\":\"info\"}");
  EXPECT_EQ(line.size(), 3u);
  spdlog::error("{}");
  EXPECT_EQ(Line()["msg"], "{}");
}

TEST_F(JsonLogTest, ANumberThatJsonHasNotIsText) {
  Log(Event::kRequestFailed, {{"nan", std::numeric_limits<double>::quiet_NaN()},
                              {"inf", -std::numeric_limits<double>::infinity()},
                              {"small", 1e-300},
                              {"least", std::numeric_limits<int64_t>::min()}});
  const json line = Line();
  EXPECT_TRUE(line["nan"].is_string());
  EXPECT_TRUE(line["inf"].is_string());
  EXPECT_EQ(line["small"], 1e-300);
  EXPECT_EQ(line["least"], std::numeric_limits<int64_t>::min());
}

TEST_F(JsonLogTest, NoValueBreaksALine) {
  for (const char* hostile : {"", "\"", "\\", "\\\"", "a\nb", "a\r\nb", "\t\x01\x1f\x7f", "é", "😀",
                              "\xff\xfe", "\xc3", "\xed\xa0\x80", "\xf8\x88\x80\x80\x80",
                              "\xe2\x80\xa8", "\",\"level\":\"error", "{}{{}}%s"}) {
    Log(Event::kRequestFinished, {{"value", hostile}, {"after", 1}});
    const json line = Line();
    EXPECT_EQ(line["after"], 1) << hostile;
    EXPECT_EQ(line["level"], "info") << hostile;
  }
  Log(Event::kRequestFinished, {{"value", std::string("a\0b", 3)}});
  EXPECT_EQ(Line()["value"], std::string("a\0b", 3));
  Log(Event::kRequestFinished, {{"value", "é 😀"}});
  EXPECT_EQ(Line()["value"], "é 😀");
}

TEST_F(JsonLogTest, NoRandomBytesBreakALine) {
  std::mt19937 random(42);
  for (int i = 0; i < 2'000; ++i) {
    std::string bytes(random() % 40, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    Log(Event::kRequestFinished, {{"value", bytes}});
    EXPECT_EQ(Line()["event"], "request_finished");
    spdlog::info(bytes);
    EXPECT_EQ(Line()["level"], "info");
  }
}

TEST_F(JsonLogTest, WhatIsBelowTheLevelIsNotWritten) {
  spdlog::debug("quiet");
  EXPECT_EQ(out_.str(), "");
}

}  // namespace
}  // namespace aibackend::telemetry
