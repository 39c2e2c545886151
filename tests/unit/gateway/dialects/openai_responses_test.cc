#include "tests/unit/gateway/dialects/openai_fixture.h"

namespace aibackend::gateway {
namespace {

constexpr char kPath[] = "/v1/responses";

class OpenAiResponsesTest : public OpenAiTest {
 protected:
  void ExpectRefused(const std::string& members, const std::string& param) {
    const Answer answer = Post(kPath, R"({"model":"m",)" + members + "}");
    EXPECT_EQ(answer.status, 400) << members;
    EXPECT_EQ(ErrorOf(answer)["param"], param) << answer.body;
    EXPECT_EQ(seen_.messages_size(), 0) << "the server was asked";
  }
};

TEST_F(OpenAiResponsesTest, ParametersAreTranslated) {
  Post(kPath, R"({"model":"docs/m","input":"hi","instructions":"be kind","temperature":0.5,
      "top_p":0.25,"max_output_tokens":9,"user":"u","metadata":{"k":"v"},"store":true,
      "parallel_tool_calls":false,"include":["message.output_text.logprobs"],
      "reasoning":{"effort":"low","summary":"auto"},"truncation":"auto",
      "text":{"verbosity":"low","format":{"type":"json_schema","name":"s",
              "schema":{"type":"object"},"strict":true}},
      "tools":[{"type":"function","name":"f","description":"d","parameters":{"a":1},
                "strict":null}],
      "tool_choice":{"type":"function","name":"f"}})");
  EXPECT_THAT(seen_, IsMessage(ChatOf(R"(
      model: "m" retrieval { enabled: true }
      messages { role: "system" content: "be kind" } messages { role: "user" content: "hi" }
      temperature: 0.5 top_p: 0.25 max_tokens: 9 user: "u" top_logprobs: 0
      tools { name: "f" description: "d" parameters: '{"a":1}' }
      tool_choice { mode: "tool" name: "f" }
      response_format { type: "json_schema" name: "s" schema: '{"type":"object"}' strict: true }
      extra: '{"reasoning_effort":"low","verbosity":"low","parallel_tool_calls":false}')")));
}

TEST_F(OpenAiResponsesTest, ItemsBecomeMessages) {
  Post(kPath, R"({"model":"m","input":[
      {"role":"user","content":[{"type":"input_text","text":"what?"},
        {"type":"input_image","image_url":"https://x/y.png","detail":"auto"}]},
      {"type":"reasoning","id":"rs_1","summary":[]},
      {"type":"message","role":"assistant","content":[{"type":"output_text","text":"well"}]},
      {"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},
      {"type":"function_call","call_id":"c2","name":"g","arguments":"{\"a\":1}"},
      {"type":"function_call_output","call_id":"c1","output":"4"},
      {"type":"function_call_output","call_id":"c2",
       "output":[{"type":"input_text","text":"5"}]}]})");
  EXPECT_THAT(seen_, IsMessage(ChatOf(R"(
      model: "m" retrieval { enabled: false }
      messages { role: "user" parts { text: "what?" }
                 parts { image_url { url: "https://x/y.png" detail: "auto" } } }
      messages { role: "assistant" parts { text: "well" }
                 tool_calls { id: "c1" name: "f" arguments: "{}" }
                 tool_calls { id: "c2" name: "g" arguments: '{"a":1}' } }
      messages { role: "tool" tool_call_id: "c1" content: "4" }
      messages { role: "tool" tool_call_id: "c2" parts { text: "5" } })")));
}

TEST_F(OpenAiResponsesTest, WhatNeedsAStoreOrABuiltInToolIsRefused) {
  ExpectRefused(R"("input":"x","previous_response_id":"resp_1")", "previous_response_id");
  ExpectRefused(R"("input":"x","conversation":"conv_1")", "conversation");
  ExpectRefused(R"("input":"x","background":true)", "background");
  ExpectRefused(R"("input":"x","tools":[{"type":"web_search"}])", "tools[0].type");
  ExpectRefused(R"("input":"x","tool_choice":{"type":"file_search"})", "tool_choice.type");
  ExpectRefused(R"("input":[{"type":"item_reference","id":"x"}])", "input[0].type");
  ExpectRefused(R"("input":[{"role":"user","content":[{"type":"input_image","file_id":"f"}]}])",
                "input[0].content[0].file_id");
  ExpectRefused(R"("input":[{"role":"user","content":[{"type":"input_file"}]}])",
                "input[0].content[0].type");
}

TEST_F(OpenAiResponsesTest, WhatIsOfTheWrongTypeIsRefusedByName) {
  ExpectRefused(R"("user":"u")", "input");
  ExpectRefused(R"("input":7)", "input");
  ExpectRefused(R"("input":["x"])", "input[0]");
  ExpectRefused(R"("input":[{"role":"user"}])", "input[0].content");
  ExpectRefused(R"("input":"x","text":"json")", "text");
  ExpectRefused(R"("input":"x","metadata":"m")", "metadata");
}

TEST_F(OpenAiResponsesTest, AnAnswerHasItsItemsAndRepeatsItsRequest) {
  WillAnswer(R"(id: "req_1" response: "four" reasoning: "hm" model: "m-2"
      finish_reason: "tool_calls" tool_calls { id: "c1" name: "f" arguments: "{}" }
      logprobs { token: "four" logprob: -1 } citations { document_id: "d" }
      usage { prompt_tokens: 5 completion_tokens: 2 total_tokens: 7 cached_tokens: 3
              reasoning_tokens: 1 })");
  const Answer answer = Post(
      kPath, R"({"model":"m","input":"hi","metadata":{"k":"v"},"temperature":0.5,"store":true})");
  EXPECT_EQ(answer.status, 200);
  const Json body = Json::parse(answer.body);
  EXPECT_EQ(body["id"], "resp_req_1");
  EXPECT_EQ(body["object"], "response");
  EXPECT_EQ(body["created_at"], 1'700'000'000);
  EXPECT_EQ(body["status"], "completed");
  EXPECT_EQ(body["model"], "m-2");
  EXPECT_EQ(body["output"], Json::parse(R"([
      {"id":"rs_req_1_0","type":"reasoning","summary":[],"status":"completed",
       "content":[{"type":"reasoning_text","text":"hm"}]},
      {"id":"msg_req_1_1","type":"message","role":"assistant","status":"completed",
       "content":[{"type":"output_text","text":"four","annotations":[],
         "logprobs":[{"token":"four","logprob":-1.0,"bytes":null,"top_logprobs":[]}]}]},
      {"id":"fc_req_1_2","type":"function_call","call_id":"c1","name":"f","arguments":"{}",
       "status":"completed"}])"));
  EXPECT_EQ(body["usage"], Json::parse(R"({"input_tokens":5,"output_tokens":2,"total_tokens":7,
      "input_tokens_details":{"cached_tokens":3},"output_tokens_details":{"reasoning_tokens":1}})"));
  EXPECT_EQ(body["output_text"], "four");
  EXPECT_EQ(body["citations"][0]["document_id"], "d");
  EXPECT_EQ(body["metadata"], Json::parse(R"({"k":"v"})"));
  EXPECT_EQ(body["temperature"], 0.5);
  EXPECT_EQ(body["tools"], Json::array());
  EXPECT_EQ(body["store"], false);
  EXPECT_TRUE(body["error"].is_null());
  EXPECT_TRUE(body["incomplete_details"].is_null());
}

TEST_F(OpenAiResponsesTest, AnAnswerThatWasCutShortIsIncomplete) {
  WillAnswer(R"(response: "fo" finish_reason: "length")");
  const Json body = Json::parse(Post(kPath, R"({"model":"m","input":"hi"})").body);
  EXPECT_EQ(body["status"], "incomplete");
  EXPECT_EQ(body["incomplete_details"]["reason"], "max_output_tokens");
  EXPECT_EQ(body["output"][0]["status"], "incomplete");
}

TEST_F(OpenAiResponsesTest, ErrorsNameThisApisParameters) {
  status_ = ErrorStatus(grpc::StatusCode::INVALID_ARGUMENT, "FIELD_OUT_OF_RANGE", "too many",
                        "max_tokens");
  EXPECT_EQ(ErrorOf(Post(kPath, R"({"model":"m","input":"hi"})"))["param"], "max_output_tokens");
  status_ =
      ErrorStatus(grpc::StatusCode::INVALID_ARGUMENT, "ROLE_UNKNOWN", "x", "messages[0].role");
  EXPECT_EQ(ErrorOf(Post(kPath, R"({"model":"m","input":"hi"})"))["param"], "input");
  status_ = ErrorStatus(grpc::StatusCode::INVALID_ARGUMENT, "FIELD_INVALID", "no", "extra.seed");
  EXPECT_EQ(ErrorOf(Post(kPath, R"({"model":"m","input":"hi"})"))["param"], "seed");
}

TEST_F(OpenAiResponsesTest, AnErrorsMessageNamesThisApisParameter) {
  status_ = ErrorStatus(grpc::StatusCode::INVALID_ARGUMENT, "FIELD_OUT_OF_RANGE",
                        "max_tokens is 0; it must be from 1 to 9", "max_tokens");
  EXPECT_EQ(ErrorOf(Post(kPath, R"({"model":"m","input":"hi"})"))["message"],
            "max_output_tokens is 0; it must be from 1 to 9");
  status_ = ErrorStatus(grpc::StatusCode::INVALID_ARGUMENT, "MESSAGES_EMPTY",
                        "messages must hold at least one message", "messages");
  EXPECT_EQ(ErrorOf(Post(kPath, R"({"model":"m","input":[]})"))["message"],
            "input must hold at least one message");
}

class OpenAiResponsesStreamTest : public OpenAiTest {
 protected:
  // The events of a stream: checks what all of them have.
  std::vector<Json> Events() {
    answer_ = Post(kPath, R"({"model":"m","input":"hi","stream":true})");
    std::vector<Json> events;
    for (const SseEvent& event : EventsOf(answer_.body)) {
      Json data = Json::parse(event.data);
      EXPECT_EQ(data["type"], event.name);
      EXPECT_EQ(data["sequence_number"], events.size());
      data.erase("sequence_number");
      events.push_back(std::move(data));
    }
    return events;
  }
  static std::vector<std::string> TypesOf(const std::vector<Json>& events) {
    std::vector<std::string> types;
    for (const Json& event : events) types.push_back(event["type"]);
    return types;
  }
  Answer answer_;
};

TEST_F(OpenAiResponsesStreamTest, TextComesInTheOrderThatTheSdksBuildItFrom) {
  WillSend(R"(delta: "Hel")");
  WillSend(R"(delta: "lo\n")");
  WillSend(R"(done { model: "m-2" finish_reason: "stop" usage { total_tokens: 7 } })");
  const auto events = Events();
  EXPECT_EQ(answer_.ending, Ending::kEnded);
  EXPECT_THAT(TypesOf(events),
              testing::ElementsAre("response.created", "response.in_progress",
                                   "response.output_item.added", "response.content_part.added",
                                   "response.output_text.delta", "response.output_text.delta",
                                   "response.output_text.done", "response.content_part.done",
                                   "response.output_item.done", "response.completed"));
  EXPECT_EQ(events[0]["response"]["status"], "in_progress");
  EXPECT_EQ(events[0]["response"]["output"], Json::array());
  EXPECT_EQ(events[2]["item"], Json::parse(R"({"id":"msg_req_1_0","type":"message",
      "role":"assistant","content":[],"status":"in_progress"})"));
  EXPECT_EQ(events[3]["part"],
            Json::parse(R"({"type":"output_text","annotations":[],"logprobs":[],"text":""})"));
  EXPECT_EQ(events[5], Json::parse(R"({"type":"response.output_text.delta",
      "item_id":"msg_req_1_0","output_index":0,"content_index":0,"delta":"lo\n","logprobs":[]})"));
  EXPECT_EQ(events[6]["text"], "Hello\n");
  const Json& response = events[9]["response"];
  EXPECT_EQ(response["status"], "completed");
  EXPECT_EQ(response["model"], "m-2");
  EXPECT_EQ(response["usage"]["total_tokens"], 7);
  EXPECT_EQ(response["output"][0], events[8]["item"]);
  EXPECT_EQ(response["output_text"], "Hello\n");
  EXPECT_EQ(response["output"][0]["content"][0]["text"], "Hello\n");
}

TEST_F(OpenAiResponsesStreamTest, ReasoningTextAndCallsAreItemsOfTheirOwn) {
  WillSend(R"(reasoning: "hm")");
  WillSend(R"(delta: "a" logprobs { token: "a" logprob: -1 })");
  WillSend(R"(delta: "b" logprobs { token: "b" logprob: -2 })");
  WillSend(R"(tool_call { index: 0 id: "c1" name: "f" })");
  WillSend(R"(tool_call { index: 1 id: "c2" name: "g" arguments: "{}" })");
  WillSend(R"(tool_call { index: 0 arguments: "{\"a\":1}" })");
  WillSend(R"(done { finish_reason: "tool_calls" })");
  const auto events = Events();
  EXPECT_THAT(
      TypesOf(events),
      testing::ElementsAre(
          "response.created", "response.in_progress", "response.output_item.added",
          "response.content_part.added", "response.reasoning_text.delta",
          "response.reasoning_text.done", "response.content_part.done", "response.output_item.done",
          "response.output_item.added", "response.content_part.added", "response.output_text.delta",
          "response.output_text.delta", "response.output_text.done", "response.content_part.done",
          "response.output_item.done", "response.output_item.added", "response.output_item.added",
          "response.function_call_arguments.delta", "response.function_call_arguments.delta",
          "response.function_call_arguments.done", "response.output_item.done",
          "response.function_call_arguments.done", "response.output_item.done",
          "response.completed"));
  EXPECT_EQ(events[15]["item"], Json::parse(R"({"id":"fc_req_1_2","type":"function_call",
      "call_id":"c1","name":"f","arguments":"","status":"in_progress"})"));
  EXPECT_EQ(events[17]["output_index"], 3);
  EXPECT_EQ(events[18]["output_index"], 2);
  EXPECT_EQ(events[19]["arguments"], "{\"a\":1}");
  const Json output = events.back()["response"]["output"];
  ASSERT_EQ(output.size(), 4u);
  EXPECT_EQ(output[0]["content"][0]["text"], "hm");
  EXPECT_EQ(output[1]["content"][0]["logprobs"].size(), 2u);
  EXPECT_EQ(output[1]["content"][0]["logprobs"][1]["token"], "b");
  EXPECT_EQ(output[2]["arguments"], "{\"a\":1}");
  EXPECT_EQ(output[3]["call_id"], "c2");
}

TEST_F(OpenAiResponsesStreamTest, AnAnswerThatWasCutShortEndsAsIncomplete) {
  WillSend(R"(delta: "a")");
  WillSend(R"(done { finish_reason: "length" })");
  const auto events = Events();
  EXPECT_EQ(events.back()["type"], "response.incomplete");
  EXPECT_EQ(events.back()["response"]["incomplete_details"]["reason"], "max_output_tokens");
  EXPECT_EQ(events.back()["response"]["output"][0]["status"], "incomplete");
}

TEST_F(OpenAiResponsesStreamTest, AnAnswerWithoutTextHasAnEmptyMessage) {
  WillSend(R"(done { finish_reason: "stop" })");
  const auto events = Events();
  EXPECT_EQ(events.back()["response"]["output"][0]["content"][0]["text"], "");
}

TEST_F(OpenAiResponsesStreamTest, AStreamThatBreaksFailsAndEndsInAnError) {
  WillSend(R"(delta: "a")");
  status_ = ErrorStatus(grpc::StatusCode::UNAVAILABLE, "UPSTREAM_TRUNCATED", "cut");
  const auto events = Events();
  ASSERT_GE(events.size(), 2u);
  const Json& failed = events[events.size() - 2];
  EXPECT_EQ(failed["type"], "response.failed");
  EXPECT_EQ(failed["response"]["status"], "failed");
  EXPECT_EQ(failed["response"]["error"],
            Json::parse(R"({"code":"upstream_truncated","message":"cut"})"));
  EXPECT_EQ(failed["response"]["output"][0]["content"][0]["text"], "a");
  EXPECT_EQ(failed["response"]["output"][0]["status"], "incomplete");
  EXPECT_EQ(events.back(), Json::parse(R"({"type":"error","code":"upstream_truncated",
      "message":"cut","param":null,"error":{"message":"cut","type":"server_error","param":null,
      "code":"upstream_truncated"}})"));
}

TEST_F(OpenAiResponsesStreamTest, AnErrorBeforeTheBeginIsAnHttpStatus) {
  status_ = ErrorStatus(grpc::StatusCode::NOT_FOUND, "MODEL_NOT_FOUND", "no model", "model");
  Events();
  EXPECT_EQ(answer_.status, 404);
  EXPECT_EQ(ErrorOf(answer_)["code"], "model_not_found");
}

}  // namespace
}  // namespace aibackend::gateway
