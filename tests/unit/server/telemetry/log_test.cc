#include "server/telemetry/log.h"

#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "spdlog/sinks/ostream_sink.h"
#include "spdlog/spdlog.h"

namespace aibackend::telemetry {
namespace {

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

TEST_F(LogTest, AValueCannotForgeALine) {
  Log(Event::kRequestStarted, {{"peer", "x\nerror event=server_stopped \"q\""}});
  EXPECT_EQ(out_.str(),
            "info event=request_started peer=\"x\\nerror event=server_stopped \\\"q\\\"\"\n");
}

TEST_F(LogTest, AnUnknownLevelIsRefused) {
  EXPECT_THAT(std::string(StartLog("loud").message()), testing::HasSubstr("loud"));
}

}  // namespace
}  // namespace aibackend::telemetry
