#include "tests/unit/gateway/dialects/openai_fixture.h"

namespace aibackend::gateway {
namespace {

constexpr char kPath[] = "/v1/chat/completions";

// A body with one user message and these members.
std::string With(const std::string& members) {
  return R"({"model":"m","messages":[{"role":"user","content":"hi"}],)" + members + "}";
}

class OpenAiChatRequestTest : public OpenAiTest {
 protected:
  void ExpectRefused(const std::string& body, const std::string& param) {
    const Answer answer = Post(kPath, body);
    EXPECT_EQ(answer.status, 400) << body;
    const Json error = ErrorOf(answer);
    EXPECT_EQ(error["type"], "invalid_request_error") << body;
    EXPECT_EQ(error["param"], param) << body << " " << error;
    EXPECT_EQ(seen_.messages_size(), 0) << "the server was asked";
  }
};

TEST_F(OpenAiChatRequestTest, AllThatTheContractKnowsIsTranslated) {
  const Answer answer = Post(kPath, With(R"(
      "temperature":0.5,"top_p":0.25,"max_completion_tokens":9,"stop":"END","seed":-7,
      "logprobs":true,"user":"u1","n":1,"stream":false,"metadata":null,
      "tools":[{"type":"function","function":{"name":"f","description":"d","strict":true,
                "parameters":{"type":"object","b":1,"a":2.50}}}],
      "tool_choice":{"type":"function","function":{"name":"f"}},
      "response_format":{"type":"json_schema","json_schema":{"name":"s","description":"sd",
                         "schema":{"type":"object"},"strict":false}})"));
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_THAT(seen_, IsMessage(ChatOf(R"(
      messages { role: "user" content: "hi" } model: "m" temperature: 0.5 top_p: 0.25 max_tokens: 9
      stop: "END" seed: -7 top_logprobs: 0 user: "u1" retrieval { enabled: false }
      tools { name: "f" description: "d" strict: true
              parameters: '{"type":"object","b":1,"a":2.5}' }
      tool_choice { mode: "tool" name: "f" }
      response_format { type: "json_schema" name: "s" description: "sd" strict: false
                        schema: '{"type":"object"}' }
      extra: '{"max_completion_tokens":9}')")));
}

TEST_F(OpenAiChatRequestTest, OtherNamesOfTheSameAreTaken) {
  Post(kPath, With(R"("max_tokens":5,"stop":["a","b"],"safety_identifier":"u2","logprobs":true,
                      "top_logprobs":3,"tools":[],"tool_choice":"required",
                      "response_format":{"type":"json_object"})"));
  EXPECT_THAT(seen_, IsMessage(ChatOf(R"(
      messages { role: "user" content: "hi" } model: "m" max_tokens: 5 stop: "a" stop: "b"
      user: "u2" top_logprobs: 3 retrieval { enabled: false }
      tool_choice { mode: "required" } response_format { type: "json_object" })")));
}

TEST_F(OpenAiChatRequestTest, WhatTheContractHasNoWordForGoesOnUntouched) {
  Post(kPath, With(R"("frequency_penalty":0.10,"logit_bias":{"50256":-100},"reasoning_effort":"low",
                      "parallel_tool_calls":false,"presence_penalty":null)"));
  EXPECT_EQ(seen_.extra(),
            R"({"frequency_penalty":0.1,"logit_bias":{"50256":-100},"reasoning_effort":"low",)"
            R"("parallel_tool_calls":false})");
}

TEST_F(OpenAiChatRequestTest, MessagesOfEveryRoleAreTranslated) {
  Post(kPath, R"({"model":"m","messages":[
      {"role":"developer","content":"be kind"},
      {"role":"user","name":"ann","content":[
        {"type":"text","text":"what is it?"},
        {"type":"image_url","image_url":{"url":"https://x/y.png","detail":"low"}},
        {"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}}]},
      {"role":"assistant","content":null,"tool_calls":[
        {"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},
      {"role":"tool","tool_call_id":"c1","content":"4"},
      {"role":"assistant","content":null,"refusal":"no"},
      {"role":"assistant","content":[{"type":"refusal","refusal":"never"}]}]})");
  EXPECT_THAT(seen_, IsMessage(ChatOf(R"(
      model: "m" retrieval { enabled: false }
      messages { role: "developer" content: "be kind" }
      messages { role: "user" name: "ann" parts { text: "what is it?" }
                 parts { image_url { url: "https://x/y.png" detail: "low" } }
                 parts { raw: '{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}}' } }
      messages { role: "assistant" tool_calls { id: "c1" name: "f" arguments: '{"a":1}' } }
      messages { role: "tool" tool_call_id: "c1" content: "4" }
      messages { role: "assistant" content: "no" }
      messages { role: "assistant" parts { text: "never" } })")));
}

TEST_F(OpenAiChatRequestTest, WhatIsOfTheWrongTypeIsRefusedByName) {
  ExpectRefused(R"({"model":"m"})", "messages");
  ExpectRefused(R"({"model":7,"messages":[]})", "model");
  ExpectRefused(R"({"model":"m","messages":"hi"})", "messages");
  ExpectRefused(R"({"model":"m","messages":[{"content":"hi"}]})", "messages[0].role");
  ExpectRefused(R"({"model":"m","messages":[{"role":"user","content":7}]})", "messages[0].content");
  ExpectRefused(R"({"model":"m","messages":[{"role":"user","content":[{"type":"text"}]}]})",
                "messages[0].content[0].text");
  ExpectRefused(With(R"("temperature":"hot")"), "temperature");
  ExpectRefused(With(R"("max_tokens":1.5)"), "max_tokens");
  ExpectRefused(With(R"("max_completion_tokens":4294967296)"), "max_completion_tokens");
  ExpectRefused(With(R"("stop":[1])"), "stop[0]");
  ExpectRefused(With(R"("stream":"yes")"), "stream");
  ExpectRefused(With(R"("stream_options":[])"), "stream_options");
  ExpectRefused(With(R"("tools":[{"type":"function"}])"), "tools[0].function");
  ExpectRefused(With(R"("tools":[{"type":"function","function":{"name":"f","parameters":[]}}])"),
                "tools[0].function.parameters");
  ExpectRefused(With(R"("tool_choice":1)"), "tool_choice");
}

TEST_F(OpenAiChatRequestTest, WhatCannotBeTranslatedIsRefusedByName) {
  ExpectRefused(With(R"("n":2)"), "n");
  ExpectRefused(With(R"("max_tokens":1,"max_completion_tokens":1)"), "max_completion_tokens");
  ExpectRefused(With(R"("top_logprobs":2)"), "top_logprobs");
  ExpectRefused(With(R"("functions":[])"), "functions");
  ExpectRefused(With(R"("tools":[{"type":"custom","custom":{"name":"x"}}])"), "tools[0].type");
  ExpectRefused(With(R"("tool_choice":{"type":"allowed_tools"})"), "tool_choice.type");
  ExpectRefused(R"({"messages":[{"role":"function","name":"f","content":"4"}]})",
                "messages[0].role");
}

TEST_F(OpenAiChatRequestTest, AMessageSaysWhatItIsAbout) {
  EXPECT_EQ(ErrorOf(Post(kPath, With(R"("n":2)")))["message"],
            "n: must be 1: each request has one answer");
  EXPECT_EQ(ErrorOf(Post(kPath, With(R"("functions":[])")))["message"],
            "functions: is the old form: use tools and tool_choice");
}

TEST_F(OpenAiChatRequestTest, JsonThatIsNoneIsRefused) {
  const Answer answer = Post(kPath, "{\"model\":");
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(ErrorOf(answer)["code"], "malformed_json");
  EXPECT_TRUE(ErrorOf(answer)["param"].is_null());
  EXPECT_EQ(ErrorOf(Post(kPath, ""))["message"], "the body is empty: it must be a JSON object");
}

TEST_F(OpenAiChatRequestTest, DocumentsComeInByTheModelsNameOrAHeader) {
  const auto with_model = [](const std::string& model) {
    return R"({"model":")" + model + R"(","messages":[{"role":"user","content":"hi"}]})";
  };
  Post(kPath, with_model("docs/org/m"));
  EXPECT_EQ(seen_.model(), "org/m");
  EXPECT_TRUE(seen_.retrieval().enabled());
  EXPECT_FALSE(seen_.retrieval().has_strict());

  Post(kPath, with_model("docs/"));
  EXPECT_EQ(seen_.model(), "");
  EXPECT_TRUE(seen_.retrieval().enabled());

  headers_ = {{"x-aibackend-retrieval", "strict"}, {"x-aibackend-collection", "manuals"}};
  Post(kPath, with_model("m"));
  EXPECT_TRUE(seen_.retrieval().enabled());
  EXPECT_TRUE(seen_.retrieval().strict());
  EXPECT_EQ(seen_.retrieval().collection(), "manuals");

  headers_ = {{"x-aibackend-retrieval", "maybe"}};
  const Answer answer = Post(kPath, with_model("m"));
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(ErrorOf(answer)["param"], "x-aibackend-retrieval");
}

}  // namespace
}  // namespace aibackend::gateway
