// Answers of more than text: tool calls, reasoning, log probabilities, and what they do to an end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "server/base/status.h"
#include "server/models/openai_model.h"
#include "tests/unit/server/models/openai_fixture.h"

namespace aibackend::models {
namespace {

using ::aibackend::testing::Chunk;
using ::aibackend::testing::ChunkedHeader;
using ::aibackend::testing::Connection;
using ::aibackend::testing::HttpResponse;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string DeltaEvent(const std::string& delta) {
  return absl::StrCat(R"(data: {"choices":[{"index":0,"delta":)", delta, "}]}\n\n");
}

// `fields` are those of the function.
std::string CallEvent(const std::string& head, const std::string& fields) {
  return DeltaEvent(absl::StrCat(R"({"tool_calls":[{)", head, R"("function":{)", fields, "}}]}"));
}

std::string Reasoning(const std::string& text) {
  return Event({{"choices", {{{"index", 0}, {"delta", {{"reasoning_content", text}}}}}}});
}

struct Heard {
  GenerateResult result;
  std::shared_ptr<RecordingSink> sink;
};

Heard Hear(testing::ScriptedServer::Script script, bool stream = true, bool tools = true) {
  Fixture fixture(std::move(script));
  fixture.request.stream = stream;
  fixture.request.request_id = "req.1";
  if (tools) fixture.request.tools = {WeatherTool()};
  return {fixture.Run(), fixture.sink};
}

const std::string& TwoCalls() {
  static const auto* const events = new std::string(
      Reasoning("Hm. €") + Token("Let me ") + Token("look.") +
      CallEvent(R"("index":0,"id":"call_a","type":"function",)",
                R"("name":"weather","arguments":"")") +
      CallEvent(R"("index":0,)", R"("arguments":"{\"city\":\"Z\u00fc")") +
      CallEvent(R"("index":0,)", R"("arguments":"rich\"}")") +
      CallEvent(R"("index":1,"id":"call_b",)", R"("name":"weather","arguments":"{\"n\":1e400}")") +
      End("tool_calls") + UsageEvent(9, 4) + kDoneEvent);
  return *events;
}

void ExpectTwoCalls(const Heard& heard) {
  EXPECT_EQ(heard.result.status, absl::OkStatus());
  EXPECT_EQ(heard.result.finish_reason, "tool_calls");
  EXPECT_EQ(heard.sink->reasoning(), "Hm. €");
  EXPECT_EQ(heard.sink->text(), "Let me look.");
  EXPECT_THAT(heard.sink->calls(),
              ElementsAre("call_a weather {\"city\":\"Zürich\"}", "call_b weather {\"n\":1e400}"));
}

TEST(OpenAiTools, ReasoningTextAndCallsComeInOrderAndOneDeltaEachOfAChunk) {
  const Heard heard = Hear(Streaming(TwoCalls()));
  ExpectTwoCalls(heard);
  EXPECT_EQ(heard.sink->kinds(), "r t c");
  EXPECT_EQ(heard.result.upstream_calls, 1);
}

TEST(OpenAiTools, AStreamOfCallsMayBeCutAnywhere) {
  Fixture fixture(StreamingInTwo(TwoCalls()));
  fixture.request.tools = {WeatherTool()};
  for (size_t cut = 1; cut < TwoCalls().size(); ++cut) {
    fixture.request.max_tokens = static_cast<int>(cut);
    fixture.sink = std::make_shared<RecordingSink>();
    ExpectTwoCalls({fixture.Run(), fixture.sink});
    ASSERT_FALSE(HasFailure()) << cut;
  }
}

TEST(OpenAiTools, KindsThatAlternateKeepTheirOrder) {
  const Heard heard =
      Hear(Streaming(Token("a") + Reasoning("b") + Token("c") +
                     CallEvent(R"("index":0,"id":"i",)", R"("name":"f","arguments":"{}")") +
                     Token("d") + End("stop") + kDoneEvent));
  EXPECT_EQ(heard.sink->kinds(), "t r t c t");
  EXPECT_EQ(heard.result.finish_reason, "tool_calls") << "though the upstream said stop";
}

TEST(OpenAiTools, AWholeAnswerIsOneDelta) {
  const Heard heard = Hear(Sending(HttpResponse(200, R"({"choices":[{"message":{
      "content":"Look:","reasoning":"Hm.","tool_calls":[
        {"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\": 1.0}"}},
        {"id":"","index":0,"function":{"name":"g","arguments":{"y":[1,"z"]}}},7]},
      "logprobs":{"content":[{"token":"Look:","logprob":-0.5,"bytes":[76],"top_logprobs":[]}]},
      "finish_reason":"tool_calls"}],"usage":{"prompt_tokens":20,"completion_tokens":10,
      "prompt_tokens_details":{"cached_tokens":16},
      "completion_tokens_details":{"reasoning_tokens":7}}})")),
                           false);
  EXPECT_EQ(heard.result.status, absl::OkStatus());
  EXPECT_EQ(heard.sink->kinds(), "rtpc");
  EXPECT_EQ(heard.sink->text(), "Look:");
  EXPECT_EQ(heard.sink->reasoning(), "Hm.");
  EXPECT_THAT(heard.sink->calls(),
              ElementsAre("a f {\"x\": 1.0}", "call_req1_1 g {\"y\":[1,\"z\"]}"));
  EXPECT_EQ(heard.result.usage.prompt_tokens, 20);
  EXPECT_EQ(heard.result.usage.cached_tokens, 16);
  EXPECT_EQ(heard.result.usage.completion_tokens, 10);
  EXPECT_EQ(heard.result.usage.reasoning_tokens, 7);
  EXPECT_FALSE(heard.result.usage.estimated);
}

TEST(OpenAiTools, ACallOfFormerDaysIsOneToo) {
  EXPECT_THAT(Hear(Streaming(DeltaEvent(R"({"function_call":{"name":"f","arguments":"{\"a\""}})") +
                             DeltaEvent(R"({"function_call":{"arguments":":1}"}})") +
                             End("function_call") + kDoneEvent))
                  .sink->calls(),
              ElementsAre("call_req1_0 f {\"a\":1}"));
  const Heard whole = Hear(Sending(HttpResponse(200, R"({"choices":[{"message":{"content":null,
      "function_call":{"name":"f","arguments":"{}"}},"finish_reason":"function_call"}]})")),
                           false);
  EXPECT_THAT(whole.sink->calls(), ElementsAre("call_req1_0 f {}"));
  EXPECT_EQ(whole.result.finish_reason, "tool_calls");
}

TEST(OpenAiTools, ACallWithoutArgumentsHasAnEmptyObjectUnlessItWasCutByALimit) {
  const std::string call = CallEvent(R"("index":0,"id":"a",)", R"("name":"f","arguments":"")");
  EXPECT_THAT(Hear(Streaming(call + End("tool_calls"))).sink->calls(), ElementsAre("a f {}"));
  const Heard cut = Hear(Streaming(call + End("length")));
  EXPECT_THAT(cut.sink->calls(), ElementsAre("a f "));
  EXPECT_EQ(cut.result.finish_reason, "length");
}

TEST(OpenAiTools, AStreamThatStopsWithinArgumentsIsTruncated) {
  const std::string begun =
      CallEvent(R"("index":0,"id":"a",)", R"("name":"f","arguments":"{\"x\":")");
  for (const char* end : {"", kDoneEvent}) {
    const Heard heard = Hear(Streaming(begun + end));
    EXPECT_EQ(ReasonOf(heard.result.status), Reason::UPSTREAM_TRUNCATED) << end;
    EXPECT_EQ(heard.result.upstream_calls, 1);
    EXPECT_EQ(heard.result.usage.completion_tokens, 2) << "what came is counted";
  }
  const Heard whole =
      Hear(Streaming(begun + CallEvent("\"index\":0,", R"("arguments":"1}")") + kDoneEvent));
  EXPECT_EQ(whole.result.status, absl::OkStatus());
  EXPECT_EQ(whole.result.finish_reason, "tool_calls");
}

TEST(OpenAiTools, CallsNobodyOfferedArePassedOver) {
  const std::string call = CallEvent(R"("index":0,"id":"a",)", R"("name":"f","arguments":"{}")");
  const Heard text = Hear(Streaming(Token("x") + call + End("tool_calls")), true, false);
  EXPECT_EQ(text.result.status, absl::OkStatus());
  EXPECT_EQ(text.result.finish_reason, "stop");
  EXPECT_THAT(text.sink->calls(), IsEmpty());
  const Heard none = Hear(Streaming(call + End("tool_calls")), true, false);
  EXPECT_EQ(ReasonOf(none.result.status), Reason::UPSTREAM_BAD_RESPONSE);
  EXPECT_THAT(std::string(none.result.status.message()), HasSubstr("none was offered"));
}

TEST(OpenAiTools, ACallWithoutANameOrThatNeverComesIsABadResponse) {
  for (const std::string& delta :
       {CallEvent(R"("index":0,"id":"a",)", R"("arguments":"{}")"),
        DeltaEvent(R"({"tool_calls":[{"index":0}]})"), DeltaEvent(R"({"tool_calls":[]})"),
        DeltaEvent(R"({"tool_calls":{"index":0}})"), DeltaEvent(R"({"tool_calls":["x",null]})")}) {
    EXPECT_EQ(ReasonOf(Hear(Streaming(delta + End("tool_calls"))).result.status),
              Reason::UPSTREAM_BAD_RESPONSE)
        << delta;
  }
}

TEST(OpenAiTools, FieldsOfAnotherTypeCountAsAbsent) {
  const Heard heard = Hear(Streaming(
      DeltaEvent(R"({"reasoning_content":{},"reasoning":"r","content":null,"tool_calls":[)"
                 R"({"index":"0","id":7,"function":{"name":"f","arguments":[1]}}]})") +
      DeltaEvent(R"({"tool_calls":[{"index":null,"function":7},{"function":{)"
                 R"("name":{},"arguments":"{\"a\":1}"}}]})") +
      End("tool_calls")));
  EXPECT_EQ(heard.sink->reasoning(), "r");
  EXPECT_THAT(heard.sink->calls(), ElementsAre("call_req1_0 f {\"a\":1}"));
}

TEST(OpenAiTools, EndlessCallsAreRefused) {
  std::string events;
  for (int i = 0; i <= 128; ++i) {
    events += CallEvent(absl::StrCat("\"index\":", i * 7000000, ",\"id\":\"", i, "\","),
                        R"("name":"f","arguments":"{}")");
  }
  const Heard heard = Hear(Streaming(events + End("tool_calls")));
  EXPECT_EQ(ReasonOf(heard.result.status), Reason::UPSTREAM_BAD_RESPONSE);
  EXPECT_EQ(heard.sink->calls().size(), 128u);
}

TEST(OpenAiTools, TheLimitOfAnAnswerCountsReasoningAndCalls) {
  for (const std::string& events :
       {Reasoning(std::string(60, 'r')) + Token(std::string(60, 't')),
        Token(std::string(60, 't')) +
            CallEvent(R"("index":0,"id":"a",)",
                      absl::StrCat(R"("name":"f","arguments":")", std::string(60, 'x'), "\""))}) {
    Fixture fixture(Streaming(events + End()));
    fixture.request.tools = {WeatherTool()};
    fixture.options.limits.answer_bytes_max = 100;
    const GenerateResult result = fixture.Run();
    EXPECT_EQ(ReasonOf(result.status), Reason::UPSTREAM_BAD_RESPONSE);
    EXPECT_THAT(std::string(result.status.message()), HasSubstr("longer than 100 bytes"));
  }
}

TEST(OpenAiTools, TextThatIsNotUtf8IsABadResponse) {
  EXPECT_EQ(
      ReasonOf(
          Hear(Streaming(CallEvent("\"index\":0,", "\"name\":\"\xFF\"") + End())).result.status),
      Reason::UPSTREAM_BAD_RESPONSE);
}

TEST(OpenAiTools, UsageThatIsNotReportedIsEstimatedFromAllThatCame) {
  const std::string events =
      Reasoning("12345678") + Token("1234") +
      CallEvent(R"("index":0,"id":"a",)", R"("name":"f","arguments":"{\"a\":\"12345\"}")") +
      End("tool_calls");
  const TokenUsage all = Hear(Streaming(events)).result.usage;
  EXPECT_TRUE(all.estimated);
  EXPECT_EQ(all.completion_tokens, 2 + 1 + 4);
  EXPECT_EQ(all.reasoning_tokens, 2);
  EXPECT_GT(all.prompt_tokens, 20) << "the tools are part of the prompt";
  const TokenUsage half = Hear(Streaming(events + Event({{"choices", nlohmann::json::array()},
                                                         {"usage", {{"prompt_tokens", 77}}}})))
                              .result.usage;
  EXPECT_TRUE(half.estimated);
  EXPECT_EQ(half.prompt_tokens, 77);
  EXPECT_EQ(half.completion_tokens, 7);
}

TEST(OpenAiTools, APartOfTheUsageIsNeverMoreThanTheWhole) {
  const TokenUsage usage =
      Hear(Streaming(Token("x") + End() +
                     Event({{"usage",
                             {{"prompt_tokens", 5},
                              {"completion_tokens", 3},
                              {"prompt_tokens_details", {{"cached_tokens", 99}}},
                              {"completion_tokens_details", {{"reasoning_tokens", 99}}}}}})))
          .result.usage;
  EXPECT_EQ(usage.cached_tokens, 5);
  EXPECT_EQ(usage.reasoning_tokens, 3);
}

TEST(OpenAiTools, LogprobsWithoutEndAreARunawayThoughTheirTextIsShort) {
  std::string tokens = R"({"logprob":0})";
  for (int i = 1; i < 1000; ++i) tokens += R"(,{"logprob":0})";
  Fixture fixture(Streaming(Token("x") +
                            R"(data: {"choices":[{"delta":{},"logprobs":{"content":[)" + tokens +
                            "]}}]}\n\n" + End()));
  fixture.options.limits.answer_bytes_max = 1000;
  const GenerateResult result = fixture.Run();
  EXPECT_EQ(ReasonOf(result.status), Reason::UPSTREAM_BAD_RESPONSE) << result.status;
  EXPECT_EQ(fixture.sink->text(), "x");
  EXPECT_TRUE(fixture.sink->logprobs().empty());
}

TEST(OpenAiTools, LogprobsComeWithTheirText) {
  const Heard heard =
      Hear(Streaming(R"(data: {"choices":[{"delta":{"content":"é"},"logprobs":{"content":[)"
                     R"({"token":"é","logprob":-0.25,"bytes":[195,169],"top_logprobs":[)"
                     R"({"token":"e","logprob":-2,"bytes":null},{"token":"x","logprob":"y"},7]},)"
                     R"({"token":"?","logprob":-1,"bytes":[1,256]},{"token":"no number"},7]}}]})"
                     "\n\n" +
                     Token("z") + End()));
  EXPECT_EQ(heard.sink->kinds(), "tp");
  EXPECT_EQ(heard.sink->text(), "éz");
  const auto logprobs = heard.sink->logprobs();
  ASSERT_EQ(logprobs.size(), 2u);
  EXPECT_EQ(logprobs[0].token, "é");
  EXPECT_EQ(logprobs[0].logprob, -0.25);
  EXPECT_THAT(logprobs[0].bytes, ElementsAre(195, 169));
  ASSERT_EQ(logprobs[0].top_logprobs.size(), 1u);
  EXPECT_EQ(logprobs[0].top_logprobs[0].token, "e");
  EXPECT_EQ(logprobs[0].top_logprobs[0].logprob, -2);
  EXPECT_THAT(logprobs[1].bytes, IsEmpty());
}

TEST(OpenAiTools, TheStopSequenceIsOneOfThoseThatWereAskedFor) {
  for (const auto& [said, heard] : std::vector<std::pair<std::string, std::string>>{
           {"\"END\"", "END"}, {"\"other\"", ""}, {"128009", ""}, {"null", ""}}) {
    Fixture fixture(Streaming(Token("x") + absl::StrCat(R"(data: {"choices":[{"delta":{},)",
                                                        R"("finish_reason":"stop","stop_reason":)",
                                                        said, "}]}\n\n")));
    fixture.request.stop = {"STOP", "END"};
    const GenerateResult result = fixture.Run();
    EXPECT_EQ(result.finish_reason, "stop");
    EXPECT_EQ(result.stop_sequence, heard) << said;
  }
}

TEST(OpenAiTools, EveryRequestThatWasStartedCounts) {
  EXPECT_EQ(ResultOf(Sending(HttpResponse(500, "{}"))).upstream_calls, 1);
  Fixture unreachable(Sending(""));
  unreachable.options.base_url = "http://127.0.0.1:1/v1";
  EXPECT_EQ(unreachable.Run().upstream_calls, 1);
  Fixture cancelled([](Connection& connection) { connection.SeesEof(); });
  cancelled.Start()->Cancel();
  EXPECT_EQ(cancelled.sink->WaitDone().upstream_calls, 1);
}

}  // namespace
}  // namespace aibackend::models
