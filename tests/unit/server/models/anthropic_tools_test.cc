// Answers of more than text: tool calls, thinking, stop sequences, the cache.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/models/anthropic_model.h"
#include "tests/unit/server/models/anthropic_fixture.h"

namespace aibackend::models {
namespace {

using ::aibackend::testing::HttpResponse;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string BlockStart(int index, const std::string& block) {
  return absl::StrCat(R"(data: {"type":"content_block_start","index":)", index,
                      R"(,"content_block":)", block, "}\n\n");
}

std::string BlockDelta(int index, const std::string& delta) {
  return absl::StrCat(R"(data: {"type":"content_block_delta","index":)", index, R"(,"delta":)",
                      delta, "}\n\n");
}

std::string CallStart(int index, const std::string& id, const std::string& input = "{}") {
  return BlockStart(index, absl::StrCat(R"({"type":"tool_use","id":")", id,
                                        R"(","name":"weather","input":)", input, "}"));
}

std::string Input(int index, const std::string& json) {
  return Event({{"type", "content_block_delta"},
                {"index", index},
                {"delta", {{"type", "input_json_delta"}, {"partial_json", json}}}});
}

std::string Thinking(const std::string& text) {
  return BlockStart(0, R"({"type":"thinking","thinking":""})") +
         Event({{"type", "content_block_delta"},
                {"index", 0},
                {"delta", {{"type", "thinking_delta"}, {"thinking", text}}}}) +
         BlockDelta(0, R"({"type":"signature_delta","signature":"c2ln"})");
}

struct Heard {
  GenerateResult result;
  std::shared_ptr<RecordingSink> sink;
};

Heard Hear(testing::ScriptedServer::Script script, bool stream = true, bool tools = true) {
  Fixture fixture(std::move(script));
  fixture.request.stream = stream;
  fixture.request.stop = {"STOP", "END"};
  if (tools) fixture.request.tools = {WeatherTool()};
  return {fixture.Run(), fixture.sink};
}

const std::string& TwoCalls() {
  static const auto* const events = new std::string(
      Start() + Thinking("Hm. €") + Token("Let me ") + Token("look.") + CallStart(2, "a") +
      Input(2, "") + Input(2, "{\"city\":\"Zü") + Input(2, "rich\"}") +
      BlockStart(3, R"({"type":"server_tool_use","id":"s","name":"web_search","input":{}})") +
      CallStart(4, "b") + Input(4, "{\"n\":1e400}") + End("tool_use"));
  return *events;
}

void ExpectTwoCalls(const Heard& heard) {
  EXPECT_EQ(heard.result.status, absl::OkStatus());
  EXPECT_EQ(heard.result.finish_reason, "tool_calls");
  EXPECT_EQ(heard.sink->reasoning(), "Hm. €");
  EXPECT_EQ(heard.sink->text(), "Let me look.");
  EXPECT_THAT(heard.sink->calls(),
              ElementsAre("a weather {\"city\":\"Zürich\"}", "b weather {\"n\":1e400}"));
}

TEST(AnthropicTools, ThinkingTextAndCallsComeInOrderAndOneDeltaEachOfAChunk) {
  const Heard heard = Hear(Streaming(TwoCalls()));
  ExpectTwoCalls(heard);
  EXPECT_EQ(heard.sink->kinds(), "r t c");
  EXPECT_EQ(heard.result.upstream_calls, 1);
}

TEST(AnthropicTools, AStreamOfCallsMayBeCutAnywhere) {
  Fixture fixture(StreamingInTwo(TwoCalls()));
  fixture.request.tools = {WeatherTool()};
  for (size_t cut = 1; cut < TwoCalls().size(); ++cut) {
    fixture.request.max_tokens = static_cast<int>(cut);
    fixture.sink = std::make_shared<RecordingSink>();
    ExpectTwoCalls({fixture.Run(), fixture.sink});
    ASSERT_FALSE(HasFailure()) << cut;
  }
}

TEST(AnthropicTools, OfAWholeAnswerEachKindOfBlockIsJoinedAndInputsKeepTheirText) {
  const Heard heard = Hear(Sending(HttpResponse(200, R"({"content":[
      {"type":"thinking","thinking":"Hm. ","signature":"x"},{"type":"text","text":"Look"},7,
      {"type":"tool_use","id":"a","name":"f","input":{"z": 1.0,"a":12345678901234567890}},
      {"type":"thinking","thinking":"Yes."},{"type":"redacted_thinking","data":"x"},
      {"type":"text","text":"ing"},{"type":"tool_use","id":"b","name":"g","input":{ }},
      {"type":"tool_use","id":"c","name":"h","input":"no object"}],
      "stop_reason":"tool_use","stop_sequence":null,
      "usage":{"input_tokens":3,"cache_read_input_tokens":20,"output_tokens":2}})")),
                           false);
  EXPECT_EQ(heard.result.status, absl::OkStatus());
  EXPECT_EQ(heard.result.finish_reason, "tool_calls");
  EXPECT_EQ(heard.sink->kinds(), "rtc");
  EXPECT_EQ(heard.sink->reasoning(), "Hm. Yes.");
  EXPECT_EQ(heard.sink->text(), "Looking");
  EXPECT_THAT(heard.sink->calls(),
              ElementsAre("a f {\"z\": 1.0,\"a\":12345678901234567890}", "b g {}", "c h {}"));
  EXPECT_EQ(heard.result.usage.prompt_tokens, 23);
  EXPECT_EQ(heard.result.usage.cached_tokens, 20);
}

TEST(AnthropicTools, AnInputThatComesWithItsBlockIsTheArguments) {
  EXPECT_THAT(Hear(Streaming(CallStart(0, "a", "{\"x\" : 1.0}") + End("tool_use"))).sink->calls(),
              ElementsAre("a weather {\"x\" : 1.0}"));
}

TEST(AnthropicTools, ACallWithoutArgumentsHasAnEmptyObject) {
  const Heard heard = Hear(Streaming(CallStart(0, "a") + Input(0, "") + End("tool_use")));
  EXPECT_THAT(heard.sink->calls(), ElementsAre("a weather {}"));
}

TEST(AnthropicTools, AStreamThatStopsWithinAnInputIsTruncated) {
  for (const std::string& end : {std::string(), Stop()}) {
    const Heard heard = Hear(Streaming(Start() + CallStart(0, "a") + Input(0, "{\"x\":") + end));
    EXPECT_EQ(ReasonOf(heard.result.status), Reason::UPSTREAM_TRUNCATED) << end;
  }
}

TEST(AnthropicTools, CallsNobodyOfferedArePassedOver) {
  const std::string call = CallStart(1, "a") + Input(1, "{}") + End("tool_use");
  const Heard text = Hear(Streaming(Start() + Token("x") + call), true, false);
  EXPECT_EQ(text.result.status, absl::OkStatus());
  EXPECT_EQ(text.result.finish_reason, "stop");
  EXPECT_THAT(text.sink->calls(), IsEmpty());
  EXPECT_EQ(ReasonOf(Hear(Streaming(Start() + call), true, false).result.status),
            Reason::UPSTREAM_BAD_RESPONSE);
}

TEST(AnthropicTools, AnInputWithoutItsCallIsABadResponse) {
  EXPECT_EQ(ReasonOf(Hear(Streaming(Start() + Input(0, "{}") + End("tool_use"))).result.status),
            Reason::UPSTREAM_BAD_RESPONSE);
}

TEST(AnthropicTools, FieldsOfAnotherTypeCountAsAbsent) {
  const Heard heard =
      Hear(Streaming(Start() + BlockStart(0, "7") + BlockStart(0, R"({"type":"thinking"})") +
                     R"(data: {"type":"content_block_start","index":"x",)"
                     R"("content_block":{"type":"tool_use","id":{},"name":"f","input":[1]}})"
                     "\n\n" +
                     BlockDelta(0, R"({"type":"thinking_delta","thinking":7})") +
                     R"(data: {"type":"content_block_delta",)"
                     R"("delta":{"type":"input_json_delta","partial_json":"{}"}})"
                     "\n\n" +
                     End("tool_use")));
  EXPECT_EQ(heard.result.status, absl::OkStatus());
  EXPECT_THAT(heard.sink->calls(), ElementsAre("call_0 f {}"));
  EXPECT_EQ(heard.sink->reasoning(), "");
}

TEST(AnthropicTools, TheStopSequenceThatEndedTheAnswerIsTold) {
  const auto ended_by = [](const std::string& sequence) {
    return Hear(Streaming(
                    Start() + Token("x") +
                    Event({{"type", "message_delta"},
                           {"delta",
                            {{"stop_reason", "stop_sequence"}, {"stop_sequence", sequence}}}}) +
                    Stop()))
        .result;
  };
  EXPECT_EQ(ended_by("END").finish_reason, "stop");
  EXPECT_EQ(ended_by("END").stop_sequence, "END");
  EXPECT_EQ(ended_by("never asked for").stop_sequence, "");
}

TEST(AnthropicTools, TheCacheIsKnownFromTheStart) {
  const std::string start =
      Event({{"type", "message_start"},
             {"message", {{"usage", {{"input_tokens", 5}, {"cache_read_input_tokens", 100}}}}}});
  const TokenUsage usage = Hear(Streaming(start + Token("12345678"))).result.usage;
  EXPECT_EQ(usage.prompt_tokens, 105);
  EXPECT_EQ(usage.cached_tokens, 100);
  EXPECT_EQ(usage.completion_tokens, 2);
  EXPECT_TRUE(usage.estimated);
}

}  // namespace
}  // namespace aibackend::models
