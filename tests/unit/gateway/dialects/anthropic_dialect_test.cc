#include <gtest/gtest.h>

#include "tests/unit/gateway/dialects/anthropic_fixture.h"

namespace aibackend::gateway {
namespace {

using nlohmann::json;

TEST_F(AnthropicTest, AWholeAnswerIsAMessage) {
  v1::ChatResponse response;
  response.set_id("req_01abc");
  response.set_model("m-2");
  response.set_response("Hi \"there\"\n");
  response.set_finish_reason("stop");
  response.mutable_usage()->set_prompt_tokens(30);
  response.mutable_usage()->set_cached_tokens(10);
  response.mutable_usage()->set_completion_tokens(5);
  EXPECT_EQ(Message(response), json::parse(R"({"id":"msg_01abc","type":"message",
      "role":"assistant","model":"m-2",
      "content":[{"type":"text","text":"Hi \"there\"\n","citations":null}],
      "stop_reason":"end_turn","stop_sequence":null,
      "usage":{"input_tokens":20,"cache_creation_input_tokens":0,"cache_read_input_tokens":10,
               "output_tokens":5}})"));
  EXPECT_EQ(exchange_->answer().Header("Content-Type"), "application/json");
  EXPECT_EQ(exchange_->answer().Header("request-id"), "req_1");
  EXPECT_EQ(seen_.max_tokens(), 64);
  EXPECT_TRUE(seen_.retrieval().has_enabled());
  EXPECT_FALSE(seen_.retrieval().enabled());
}

TEST_F(AnthropicTest, ThinkingTextAndToolCallsAreBlocksInThisOrder) {
  v1::ChatResponse response;
  response.set_reasoning("hm");
  response.set_response("I look.");
  response.set_finish_reason("tool_calls");
  response.mutable_usage()->set_reasoning_tokens(3);
  const auto call = [&response](const std::string& id, const std::string& arguments) {
    v1::ToolCall& row = *response.add_tool_calls();
    row.set_id(id);
    row.set_name("f");
    row.set_arguments(arguments);
  };
  call("t1", R"({ "city" : "Bonn", "n": 1.5 })");
  call("t2", R"({"cut":)");
  call("t3", "[1]");
  call("t4", "");
  const json message = Message(response);
  EXPECT_EQ(message["content"], json::parse(R"([
      {"type":"thinking","thinking":"hm","signature":""},
      {"type":"text","text":"I look.","citations":null},
      {"type":"tool_use","id":"t1","name":"f","input":{"city":"Bonn","n":1.5}},
      {"type":"tool_use","id":"t2","name":"f","input":{}},
      {"type":"tool_use","id":"t3","name":"f","input":{}},
      {"type":"tool_use","id":"t4","name":"f","input":{}}])"));
  EXPECT_EQ(message["stop_reason"], "tool_use");
  EXPECT_EQ(message["usage"]["output_tokens_details"]["thinking_tokens"], 3);
}

TEST_F(AnthropicTest, EveryEndHasItsWord) {
  struct Case {
    const char* finish_reason;
    const char* stop_sequence;
    bool has_call;
    const char* expected;
  };
  for (const Case& c :
       {Case{"stop", "", false, "end_turn"}, Case{"length", "", false, "max_tokens"},
        Case{"tool_calls", "", false, "tool_use"}, Case{"stop", "", true, "tool_use"},
        Case{"content_filter", "", false, "refusal"}, Case{"stop", "END", false, "stop_sequence"},
        Case{"length", "END", true, "max_tokens"}, Case{"", "", false, "end_turn"}}) {
    v1::ChatResponse response;
    response.set_finish_reason(c.finish_reason);
    response.set_stop_sequence(c.stop_sequence);
    if (c.has_call) response.add_tool_calls()->set_id("t");
    exchange_ = std::make_shared<FakeExchange>();
    const json message = Message(response);
    EXPECT_EQ(message["stop_reason"], c.expected);
    EXPECT_EQ(message["stop_sequence"],
              std::string(c.expected) == "stop_sequence" ? json("END") : json(nullptr));
  }
}

TEST_F(AnthropicTest, CitationsStandBesideTheContent) {
  v1::ChatResponse response;
  response.set_response("It rains.");
  v1::Citation& citation = *response.add_citations();
  citation.set_document_id("d1");
  citation.set_start(3);
  citation.set_end(7);
  citation.set_text("rain");
  const json citations = Message(response)["citations"];
  ASSERT_EQ(citations.size(), 1u);
  EXPECT_EQ(citations[0]["document_id"], "d1");
  EXPECT_EQ(citations[0]["start"], 3);
  EXPECT_EQ(citations[0]["text"], "rain");
}

TEST_F(AnthropicTest, TheModelsPrefixOrAHeaderAsksForDocuments) {
  exchange_->sent.headers = {{"x-aibackend-retrieval", "strict"},
                             {"x-aibackend-collection", "law"}};
  Message({});
  EXPECT_TRUE(seen_.retrieval().strict());
  EXPECT_EQ(seen_.retrieval().collection(), "law");

  exchange_ = std::make_shared<FakeExchange>();
  json body = Hello();
  body["model"] = "docs/m";
  EXPECT_EQ(Ask(body).status, 200);
  EXPECT_EQ(seen_.model(), "m");
  EXPECT_TRUE(seen_.retrieval().enabled());

  exchange_ = std::make_shared<FakeExchange>();
  exchange_->sent.headers = {{"x-aibackend-retrieval", "maybe"}};
  const auto answer = Ask(Hello());
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(json::parse(answer.body)["error"]["message"],
            "x-aibackend-retrieval: must be on, strict or off");
}

TEST_F(AnthropicTest, TokensAreCounted) {
  backend_.on_count_tokens = [this](const v1::ChatRequest& request,
                                    v1::CountTokensResponse* response) {
    seen_ = request;
    response->set_prompt_tokens(17);
    return grpc::Status::OK;
  };
  Post("/v1/messages/count_tokens",
       R"({"model":"m","system":"s","messages":[{"role":"user","content":"hi"}]})");
  const auto answer = exchange_->WaitForEnding();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, R"({"input_tokens":17})");
  EXPECT_EQ(seen_.messages_size(), 2);
}

TEST_F(AnthropicTest, AnErrorHasTheirShapeAndTheTypeOfItsStatus) {
  struct Case {
    grpc::StatusCode code;
    const char* reason;
    int status;
    const char* type;
  };
  for (const Case& c :
       {Case{grpc::StatusCode::INVALID_ARGUMENT, "FIELD_INVALID", 400, "invalid_request_error"},
        Case{grpc::StatusCode::UNAUTHENTICATED, "KEY_INVALID", 401, "authentication_error"},
        Case{grpc::StatusCode::PERMISSION_DENIED, "NEWER", 403, "permission_error"},
        Case{grpc::StatusCode::NOT_FOUND, "MODEL_NOT_FOUND", 404, "not_found_error"},
        Case{grpc::StatusCode::INVALID_ARGUMENT, "REQUEST_TOO_LARGE", 413, "request_too_large"},
        Case{grpc::StatusCode::FAILED_PRECONDITION, "IDEMPOTENCY_KEY_REUSED", 422,
             "invalid_request_error"},
        Case{grpc::StatusCode::RESOURCE_EXHAUSTED, "OVERLOADED", 429, "rate_limit_error"},
        Case{grpc::StatusCode::INTERNAL, "INTERNAL", 500, "api_error"},
        Case{grpc::StatusCode::UNAVAILABLE, "UPSTREAM_UNAVAILABLE", 502, "api_error"},
        Case{grpc::StatusCode::UNAVAILABLE, "DRAINING", 503, "overloaded_error"},
        Case{grpc::StatusCode::DEADLINE_EXCEEDED, "UPSTREAM_TIMEOUT", 504, "timeout_error"}}) {
    for (const bool stream : {false, true}) {
      backend_.on_chat = [&c](grpc::ServerContext*, const v1::ChatRequest&, v1::ChatResponse*) {
        return ErrorStatus(c.code, c.reason, "no");
      };
      backend_.on_stream = [&c](grpc::ServerContext*, const v1::ChatRequest&,
                                FakeBackend::Stream*) {
        return ErrorStatus(c.code, c.reason, "no");
      };
      exchange_ = std::make_shared<FakeExchange>();
      json body = Hello();
      body["stream"] = stream;
      const auto answer = Ask(body);
      EXPECT_EQ(answer.status, c.status) << c.reason;
      EXPECT_EQ(json::parse(answer.body), (json{{"type", "error"},
                                                {"error", {{"type", c.type}, {"message", "no"}}},
                                                {"request_id", "req_1"}}));
      EXPECT_EQ(answer.Header("request-id"), "req_1");
      EXPECT_EQ(answer.Header("WWW-Authenticate"), c.status == 401 ? "Bearer" : "");
    }
  }
}

TEST_F(AnthropicTest, WhenToTryAgainIsAHeader) {
  backend_.on_chat = [](grpc::ServerContext*, const v1::ChatRequest&, v1::ChatResponse*) {
    return ErrorStatus(grpc::StatusCode::RESOURCE_EXHAUSTED, "OVERLOADED", "later", "", 1500);
  };
  EXPECT_EQ(Ask(Hello()).Header("Retry-After"), "2");
}

TEST_F(AnthropicTest, TheServersFieldIsNamedAsTheClientWroteIt) {
  json body = Hello();
  body["system"] = "s";
  body["messages"] = json::parse(R"([{"role":"user","content":"a"},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"t"},
                                {"type":"text","text":"b"}]}])");
  const std::pair<const char*, const char*> cases[] = {
      {"messages[0].content", "system: no"},
      {"messages[1].role", "messages.0.role: no"},
      {"messages[3].parts[0].image_url.url", "messages.1.content: no"},
      {"messages[2].tool_call_id", "messages.1.content: no"},
      {"messages[99].role", "messages: no"},
      {"messages", "messages: no"},
      {"extra.seed", "seed: no"},
      {"stop[1]", "stop_sequences.1: no"},
      {"stop", "stop_sequences: no"},
      {"user", "metadata.user_id: no"},
      {"tools[2].parameters", "tools.2.input_schema: no"},
      {"response_format.schema", "output_config.format: no"},
      {"", "no"}};
  for (const auto& [field, message] : cases) {
    backend_.on_chat = [&, field = field](grpc::ServerContext*, const v1::ChatRequest&,
                                          v1::ChatResponse*) {
      return ErrorStatus(grpc::StatusCode::INVALID_ARGUMENT, "FIELD_INVALID", "no", field);
    };
    exchange_ = std::make_shared<FakeExchange>();
    EXPECT_EQ(json::parse(Ask(body).body)["error"]["message"], message) << field;
  }
}

TEST_F(AnthropicTest, AMessageThatBeginsWithItsPlaceDoesNotSayItTwice) {
  backend_.on_chat = [](grpc::ServerContext*, const v1::ChatRequest&, v1::ChatResponse*) {
    return ErrorStatus(grpc::StatusCode::INVALID_ARGUMENT, "FIELD_OUT_OF_RANGE",
                       "max_tokens is 0; it must be from 1 to 9", "max_tokens");
  };
  EXPECT_EQ(json::parse(Ask(Hello()).body)["error"]["message"],
            "max_tokens is 0; it must be from 1 to 9");
}

TEST_F(AnthropicTest, AClientThatLeavesCancelsTheCall) {
  absl::Notification running;
  absl::Notification cancelled;
  backend_.on_stream = [&](grpc::ServerContext* context, const v1::ChatRequest&,
                           FakeBackend::Stream* stream) {
    FakeBackend::SendDelta(stream, "a");
    running.Notify();
    if (WaitUntilCancelled(context)) cancelled.Notify();
    return grpc::Status::CANCELLED;
  };
  json body = Hello();
  body["stream"] = true;
  Post("/v1/messages", body.dump());
  running.WaitForNotification();
  exchange_->Leave();
  EXPECT_TRUE(cancelled.WaitForNotificationWithTimeout(absl::Seconds(10)));
  exchange_->WaitForEnding();
}

}  // namespace
}  // namespace aibackend::gateway
