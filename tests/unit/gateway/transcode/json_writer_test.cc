#include "gateway/transcode/json_writer.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "aibackend/v1/chat.pb.h"
#include "aibackend/v1/documents.pb.h"
#include "gateway/transcode/sse.h"

namespace aibackend::gateway {
namespace {

TEST(JsonWriter, DefaultsArePrintedAndUnsetOptionalsAreNot) {
  const auto json = nlohmann::json::parse(*MessageToJson(v1::ChatResponse()));
  EXPECT_FALSE(json.contains("response"));  // optional
  EXPECT_FALSE(json.contains("usage"));     // a message
  EXPECT_EQ(json["citations"], nlohmann::json::array());
  EXPECT_EQ(json["outcome"], "OUTCOME_UNSPECIFIED");
  EXPECT_EQ(json["cost_nano_usd"], "0");  // int64 is a string
  EXPECT_EQ(json["finish_reason"], "");
  v1::ChatResponse empty_answer;
  empty_answer.set_response("");
  EXPECT_EQ(nlohmann::json::parse(*MessageToJson(empty_answer))["response"], "");
}

TEST(JsonWriter, AStringComesBackAsItWas) {
  for (const std::string& text : {std::string("plain"), std::string("\"\\\b\f\n\r\t\0\x1f", 9),
                                  std::string("héllo 😀 \u2028"), std::string("</script>")}) {
    std::string json;
    AppendJsonString(text, json);
    EXPECT_EQ(nlohmann::json::parse(json), text);
    EXPECT_EQ(json.find('\n'), std::string::npos);
  }
}

TEST(JsonWriter, BytesThatAreNotUtf8AreReplaced) {
  std::string json;
  AppendJsonString("a\xff\xc3(\xf0\x9f\x98\x80\xe2\x82", json);
  EXPECT_EQ(json, "\"a\uFFFD\uFFFD(😀\uFFFD\uFFFD\"");
}

TEST(Sse, AnEventIsFramedByTheStandard) {
  EXPECT_EQ(SseDelta(3, "a\n\"b\""), "id: 3\ndata: {\"delta\":\"a\\n\\\"b\\\"\"}\n\n");
  EXPECT_EQ(SseData(1, "{}"), "id: 1\ndata: {}\n\n");
  EXPECT_EQ(SseNamed("done", "{}"), "event: done\ndata: {}\n\n");
}

}  // namespace
}  // namespace aibackend::gateway
