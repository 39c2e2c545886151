#include "tests/unit/gateway/dialects/openai_fixture.h"

namespace aibackend::gateway {
namespace {

constexpr char kPath[] = "/v1/chat/completions";
constexpr char kBody[] = R"({"model":"m","messages":[{"role":"user","content":"hi"}]})";

using OpenAiChatAnswerTest = OpenAiTest;

TEST_F(OpenAiChatAnswerTest, AnAnswerIsAChatCompletion) {
  WillAnswer(R"(id: "req_first" response: "four\n" model: "m-2" finish_reason: "stop"
      usage { prompt_tokens: 5 completion_tokens: 2 total_tokens: 7 cached_tokens: 3
              reasoning_tokens: 1 })");
  const Answer answer = Post(kPath, kBody);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.Header("Content-Type"), "application/json");
  EXPECT_EQ(Json::parse(answer.body), Json::parse(R"({
      "id":"chatcmpl-req_first","object":"chat.completion","created":1700000000,"model":"m-2",
      "choices":[{"index":0,"message":{"role":"assistant","content":"four\n","refusal":null},
                  "logprobs":null,"finish_reason":"stop"}],
      "usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,
               "prompt_tokens_details":{"cached_tokens":3},
               "completion_tokens_details":{"reasoning_tokens":1}}})"));
}

TEST_F(OpenAiChatAnswerTest, ToolCallsAloneHaveNoContent) {
  WillAnswer(R"(finish_reason: "tool_calls"
      tool_calls { id: "c1" name: "f" arguments: "{\"a\":1}" })");
  const Json choice = Json::parse(Post(kPath, kBody).body)["choices"][0];
  EXPECT_TRUE(choice["message"]["content"].is_null());
  EXPECT_EQ(choice["message"]["tool_calls"], Json::parse(R"([{"id":"c1","type":"function",
      "function":{"name":"f","arguments":"{\"a\":1}"}}])"));
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
}

TEST_F(OpenAiChatAnswerTest, ReasoningLogprobsAndCitationsAreThere) {
  WillAnswer(R"(response: "a" reasoning: "hm" finish_reason: "stop"
      logprobs { token: "a" logprob: -0.5 bytes: 97 top_logprobs { token: "b" logprob: -inf } }
      citations { document_id: "d" chunk_id: "c" start: 1 end: 4 text: "abc" title: "T" })");
  const Json body = Json::parse(Post(kPath, kBody).body);
  EXPECT_EQ(body["choices"][0]["message"]["reasoning_content"], "hm");
  EXPECT_EQ(body["choices"][0]["logprobs"], Json::parse(R"({"refusal":null,"content":[
      {"token":"a","logprob":-0.5,"bytes":[97],
       "top_logprobs":[{"token":"b","logprob":-9999,"bytes":null}]}]})"));
  EXPECT_EQ(body["citations"], Json::parse(R"([{"document_id":"d","chunk_id":"c","start":1,"end":4,
      "text":"abc","title":"T","source":"","number":0}])"));
}

struct Failure {
  grpc::StatusCode code;
  const char* reason;
  const char* field;
  int http_status;
  const char* type;
  const char* error_code;
  const char* param;
};

TEST_F(OpenAiChatAnswerTest, ErrorsHaveTheStatusTypeAndCodeThatTheSdksKnow) {
  const Failure failures[] = {
      {grpc::StatusCode::NOT_FOUND, "MODEL_NOT_FOUND", "model", 404, "invalid_request_error",
       "model_not_found", "model"},
      {grpc::StatusCode::UNAUTHENTICATED, "KEY_INVALID", "", 401, "authentication_error",
       "invalid_api_key", nullptr},
      {grpc::StatusCode::PERMISSION_DENIED, "CROSS_ORIGIN_REFUSED", "", 403, "permission_error",
       "cross_origin_refused", nullptr},
      {grpc::StatusCode::RESOURCE_EXHAUSTED, "OVERLOADED", "", 429, "rate_limit_error",
       "rate_limit_exceeded", nullptr},
      {grpc::StatusCode::UNAVAILABLE, "UPSTREAM_UNAVAILABLE", "", 502, "server_error",
       "upstream_unavailable", nullptr},
      {grpc::StatusCode::INVALID_ARGUMENT, "FIELD_INVALID", "messages[1].parts[0].image_url.url",
       400, "invalid_request_error", "field_invalid", "messages[1].content[0].image_url.url"},
      {grpc::StatusCode::INVALID_ARGUMENT, "FIELD_INVALID", "tools[0].parameters", 400,
       "invalid_request_error", "field_invalid", "tools[0].function.parameters"},
      {grpc::StatusCode::INVALID_ARGUMENT, "FIELD_INVALID", "response_format.schema", 400,
       "invalid_request_error", "field_invalid", "response_format.json_schema.schema"},
  };
  for (const Failure& failure : failures) {
    status_ = ErrorStatus(failure.code, failure.reason, "why", failure.field, 1500);
    const Answer answer = Post(kPath, kBody);
    const Json error = ErrorOf(answer);
    EXPECT_EQ(answer.status, failure.http_status) << failure.reason;
    EXPECT_EQ(answer.Header("Retry-After"), "2");
    EXPECT_EQ(error["type"], failure.type) << failure.reason;
    EXPECT_EQ(error["code"], failure.error_code);
    if (failure.param == nullptr) {
      EXPECT_EQ(error["message"], "why");
      EXPECT_TRUE(error["param"].is_null());
    } else {
      EXPECT_EQ(error["message"], std::string(failure.param) + ": why");
      EXPECT_EQ(error["param"], failure.param);
    }
  }
}

TEST_F(OpenAiChatAnswerTest, ALastEventIdIsNotPassedOnAsTheChunksHaveNoIds) {
  bool resumed = true;
  bool keyed = false;
  backend_.on_stream = [&](grpc::ServerContext* context, const v1::ChatRequest&, Stream*) {
    resumed = context->client_metadata().count("last-event-id") > 0;
    keyed = context->client_metadata().count("idempotency-key") > 0;
    return grpc::Status::OK;
  };
  headers_ = {{"Last-Event-ID", "1"}, {"Idempotency-Key", "k"}};
  Post(kPath, R"({"stream":true,"messages":[{"role":"user","content":"hi"}]})");
  EXPECT_FALSE(resumed);
  EXPECT_TRUE(keyed);
}

class OpenAiChatStreamTest : public OpenAiTest {
 protected:
  // The data of all events of a stream with `members` in its request; the last one apart.
  std::pair<std::vector<Json>, std::string> Chunks(const std::string& members) {
    const std::string body =
        R"({"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true)" + members + "}";
    answer_ = Post(kPath, body);
    auto events = EventsOf(answer_.body);
    if (events.empty()) return {};
    const std::string last = events.back().data;
    events.pop_back();
    std::vector<Json> chunks;
    for (const SseEvent& event : events) chunks.push_back(Json::parse(event.data));
    return {chunks, last};
  }
  void WillEnd() {
    WillSend(R"(done { model: "m-2" finish_reason: "stop"
        usage { prompt_tokens: 5 completion_tokens: 2 total_tokens: 7 } })");
  }
  Answer answer_;
};

TEST_F(OpenAiChatStreamTest, DeltasAreChunksBetweenTheRoleAndTheFinishReason) {
  WillSend(R"(delta: "Hel")");
  WillSend(R"(delta: "lo\n")");
  WillEnd();
  const auto [chunks, last] = Chunks("");
  EXPECT_EQ(answer_.status, 200);
  EXPECT_EQ(answer_.ending, Ending::kEnded);
  EXPECT_EQ(answer_.Header("Content-Type"), "text/event-stream; charset=utf-8");
  EXPECT_EQ(last, "[DONE]");
  ASSERT_EQ(chunks.size(), 4u);
  EXPECT_EQ(chunks[0]["choices"][0]["delta"],
            Json::parse(R"({"role":"assistant","content":"","refusal":null})"));
  EXPECT_EQ(chunks[1], Json::parse(R"({"id":"chatcmpl-req_1","object":"chat.completion.chunk",
      "created":1700000000,"model":"m","choices":[{"index":0,"delta":{"content":"Hel"},
      "logprobs":null,"finish_reason":null}]})"));
  EXPECT_EQ(chunks[2]["choices"][0]["delta"]["content"], "lo\n");
  EXPECT_EQ(chunks[3], Json::parse(R"({"id":"chatcmpl-req_1","object":"chat.completion.chunk",
      "created":1700000000,"model":"m-2","choices":[{"index":0,"delta":{},
      "logprobs":null,"finish_reason":"stop"}]})"));
}

TEST_F(OpenAiChatStreamTest, UsageIsTheLastChunkForThoseWhoAsk) {
  WillSend(R"(delta: "a")");
  WillEnd();
  const auto [chunks, last] = Chunks(R"(,"stream_options":{"include_usage":true})");
  EXPECT_EQ(last, "[DONE]");
  ASSERT_EQ(chunks.size(), 4u);
  for (size_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(chunks[i].contains("usage"));
    EXPECT_TRUE(chunks[i]["usage"].is_null());
  }
  EXPECT_EQ(chunks[3]["choices"], Json::array());
  EXPECT_EQ(chunks[3]["usage"]["total_tokens"], 7);
}

TEST_F(OpenAiChatStreamTest, ToolCallsReasoningAndLogprobsStream) {
  WillSend(R"(reasoning: "hm")");
  WillSend(R"(delta: "a" logprobs { token: "a" logprob: -1 })");
  WillSend(R"(tool_call { index: 0 id: "c1" name: "f" })");
  WillSend(R"(tool_call { index: 0 arguments: "{\"a\":" })");
  WillSend(R"(tool_call { index: 1 id: "c2" name: "g" arguments: "{}" })");
  WillSend(R"(done { finish_reason: "tool_calls" })");
  const auto [chunks, last] = Chunks("");
  ASSERT_EQ(chunks.size(), 7u);
  EXPECT_EQ(chunks[1]["choices"][0]["delta"], Json::parse(R"({"reasoning_content":"hm"})"));
  EXPECT_EQ(chunks[2]["choices"][0]["logprobs"]["content"][0]["logprob"], -1);
  const auto call = [&chunks = chunks](size_t i) {
    return chunks[i]["choices"][0]["delta"]["tool_calls"];
  };
  EXPECT_EQ(call(3), Json::parse(R"([{"index":0,"id":"c1","type":"function",
      "function":{"name":"f","arguments":""}}])"));
  EXPECT_EQ(call(4), Json::parse(R"([{"index":0,"function":{"arguments":"{\"a\":"}}])"));
  EXPECT_EQ(call(5), Json::parse(R"([{"index":1,"id":"c2","type":"function",
      "function":{"name":"g","arguments":"{}"}}])"));
  EXPECT_EQ(chunks[6]["choices"][0]["finish_reason"], "tool_calls");
}

TEST_F(OpenAiChatStreamTest, CitationsComeWithTheFinishReason) {
  WillSend(R"(delta: "a")");
  WillSend(R"(done { finish_reason: "stop" citations { document_id: "d" text: "abc" } })");
  const auto [chunks, last] = Chunks("");
  EXPECT_FALSE(chunks[1].contains("citations"));
  EXPECT_EQ(chunks.back()["citations"][0]["document_id"], "d");
  EXPECT_EQ(chunks.back()["choices"][0]["finish_reason"], "stop");
}

TEST_F(OpenAiChatStreamTest, AnAnswerWithoutTextIsAStreamToo) {
  WillEnd();
  const auto [chunks, last] = Chunks("");
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(chunks[0]["choices"][0]["delta"]["role"], "assistant");
  EXPECT_EQ(last, "[DONE]");
}

TEST_F(OpenAiChatStreamTest, AnErrorBeforeTheBeginIsAnHttpStatus) {
  status_ = ErrorStatus(grpc::StatusCode::NOT_FOUND, "MODEL_NOT_FOUND", "no model", "model");
  Chunks("");
  EXPECT_EQ(answer_.status, 404);
  EXPECT_EQ(answer_.ending, Ending::kResponded);
  EXPECT_EQ(ErrorOf(answer_)["code"], "model_not_found");
}

TEST_F(OpenAiChatStreamTest, AStreamThatBreaksEndsInAnErrorAndNotInDone) {
  WillSend(R"(delta: "a")");
  status_ = ErrorStatus(grpc::StatusCode::UNAVAILABLE, "UPSTREAM_TRUNCATED", "cut");
  const auto [chunks, last] = Chunks("");
  EXPECT_EQ(answer_.status, 200);
  EXPECT_EQ(Json::parse(last)["error"],
            Json::parse(R"({"message":"cut","type":"server_error","param":null,
                            "code":"upstream_truncated"})"));
  EXPECT_EQ(answer_.body.find("[DONE]"), std::string::npos);
}

TEST_F(OpenAiChatStreamTest, AStreamWithoutItsEndIsAnError) {
  WillSend(R"(delta: "a")");
  const auto [chunks, last] = Chunks("");
  EXPECT_EQ(Json::parse(last)["error"]["code"], "interrupted");
}

TEST_F(OpenAiChatStreamTest, AnErrorAfterDoneTakesTheDoneBack) {
  WillSend(R"(delta: "a")");
  WillEnd();
  status_ = ErrorStatus(grpc::StatusCode::INTERNAL, "INTERNAL", "the ledger");
  const auto [chunks, last] = Chunks("");
  EXPECT_EQ(Json::parse(last)["error"]["code"], "internal");
  EXPECT_EQ(answer_.body.find("\"stop\""), std::string::npos);
}

}  // namespace
}  // namespace aibackend::gateway
