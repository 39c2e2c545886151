#include "gateway/dialects/anthropic_request.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace aibackend::gateway {
namespace {

AnthropicRequest Read(const std::string& body, AnthropicPath path = AnthropicPath::kMessages) {
  AnthropicRequest request;
  const auto refused = ReadAnthropicRequest(body, path, request);
  EXPECT_FALSE(refused) << body << ": " << (refused ? refused->field + refused->message : "");
  return request;
}

// A request of one user message and what else `members` say.
AnthropicRequest ReadWith(const std::string& members) {
  return Read(absl::StrCat(R"({"max_tokens":9,"messages":[{"role":"user","content":"hi"}],)",
                           members, "}"));
}

AnthropicRequest ReadMessages(const std::string& messages) {
  return Read(absl::StrCat(R"({"max_tokens":9,"messages":)", messages, "}"));
}

// `expected` is a ChatRequest in protobuf's text form.
void ExpectChat(const AnthropicRequest& request, const std::string& expected) {
  v1::ChatRequest wanted;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(expected, &wanted)) << expected;
  EXPECT_EQ(request.chat.DebugString(), wanted.DebugString());
}

TEST(AnthropicRequestTest, APlainRequestHasItsWords) {
  const auto request = Read(R"({"model":"m","max_tokens":9,"system":"Be brief.","temperature":0.5,
      "top_p":0.9,"stop_sequences":["END","."],"stream":true,"metadata":{"user_id":"u1"},
      "messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"ho"},
                  {"role":"user","content":[{"type":"text","text":"so?"}]}]})");
  EXPECT_TRUE(request.stream);
  EXPECT_EQ(request.origins, (std::vector<int>{kOfSystem, 0, 1, 2}));
  ExpectChat(request, R"(model: "m" max_tokens: 9 temperature: 0.5 top_p: 0.9 stop: "END" stop: "."
      user: "u1"
      messages { role: "system" content: "Be brief." } messages { role: "user" content: "hi" }
      messages { role: "assistant" content: "ho" } messages { role: "user" content: "so?" })");
}

TEST(AnthropicRequestTest, SystemBlocksArePartsAndTheirCacheControlIsDropped) {
  ExpectChat(ReadWith(R"("system":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}},
                                    {"type":"text","text":"b"}])"),
             R"(max_tokens: 9
                messages { role: "system" parts { text: "a" } parts { text: "b" } }
                messages { role: "user" content: "hi" })");
}

TEST(AnthropicRequestTest, ImagesBecomeUrlsAndOtherBlocksStayRaw) {
  ExpectChat(ReadMessages(R"([{"role":"user","content":[
          {"type":"text","text":"see"},
          {"type":"image","source":{"type":"base64","media_type":"image/png","data":"QUJD"}},
          {"type":"image","source":{"type":"url","url":"https://x/y.png"}},
          {"type":"image","source":{"type":"file","file_id":"f"}},
          {"type":"document","source":{"type":"text","data":"d"}}]}])"),
             R"(max_tokens: 9 messages { role: "user" parts { text: "see" }
         parts { image_url { url: "data:image/png;base64,QUJD" } }
         parts { image_url { url: "https://x/y.png" } }
         parts { raw: '{"type":"image","source":{"type":"file","file_id":"f"}}' }
         parts { raw: '{"type":"document","source":{"type":"text","data":"d"}}' } })");
}

TEST(AnthropicRequestTest, ToolCallsAndTheirResultsKeepTheirOrder) {
  const auto request = ReadMessages(R"([{"role":"user","content":"weather?"},
      {"role":"assistant","content":[{"type":"text","text":"I look."},
          {"type":"tool_use","id":"t1","name":"f","input":{"city":"Bonn"}},
          {"type":"tool_use","id":"t2","name":"g","input":{}}]},
      {"role":"user","content":[{"type":"text","text":"and?"},
          {"type":"tool_result","tool_use_id":"t1","content":"rain"},
          {"type":"tool_result","tool_use_id":"t2","content":[{"type":"text","text":"x"},
                                                              {"type":"text","text":"y"}]}]}])");
  EXPECT_EQ(request.origins, (std::vector<int>{0, 1, 2, 2, 2}));
  ExpectChat(request, R"(max_tokens: 9
      messages { role: "user" content: "weather?" }
      messages { role: "assistant" content: "I look."
                 tool_calls { id: "t1" name: "f" arguments: '{"city":"Bonn"}' }
                 tool_calls { id: "t2" name: "g" arguments: "{}" } }
      messages { role: "tool" tool_call_id: "t1" content: "rain" }
      messages { role: "tool" tool_call_id: "t2" parts { text: "x" } parts { text: "y" } }
      messages { role: "user" content: "and?" })");
}

TEST(AnthropicRequestTest, AMessageOfResultsAloneIsNoUserMessage) {
  ExpectChat(ReadMessages(R"([{"role":"user","content":[
                 {"type":"tool_result","tool_use_id":"t1"}]}])"),
             R"(max_tokens: 9 messages { role: "tool" tool_call_id: "t1" })");
}

TEST(AnthropicRequestTest, AFailedToolSaysSoInItsText) {
  const auto text_of = [](const std::string& content) {
    const auto request = ReadMessages(
        absl::StrCat(R"([{"role":"user","content":[{"type":"tool_result","tool_use_id":"t",)",
                     R"("is_error":true,"content":)", content, "}]}]"));
    const v1::Message& message = request.chat.messages(0);
    return message.parts().empty() ? message.content() : message.parts(0).text();
  };
  EXPECT_EQ(text_of(R"("no such city")"), "Error: no such city");
  EXPECT_EQ(text_of(R"("error: twice?")"), "error: twice?");
  EXPECT_EQ(text_of(R"([{"type":"text","text":"a"},{"type":"text","text":"b"}])"), "Error: a");
  EXPECT_EQ(text_of(R"([{"type":"image","source":{"type":"url","url":"https://x/"}}])"), "Error: ");
  EXPECT_EQ(text_of("null"), "Error: ");
}

TEST(AnthropicRequestTest, ThinkingStaysRawWhereItIsSigned) {
  ExpectChat(ReadMessages(R"([{"role":"assistant","content":[
                 {"type":"thinking","thinking":"hm","signature":"s"},
                 {"type":"thinking","thinking":"ours","signature":""},
                 {"type":"redacted_thinking","data":"d"}]}])"),
             R"(max_tokens: 9 messages { role: "assistant"
                parts { raw: '{"type":"thinking","thinking":"hm","signature":"s"}' }
                parts { raw: '{"type":"redacted_thinking","data":"d"}' } })");
}

TEST(AnthropicRequestTest, ToolsAndTheirChoice) {
  ExpectChat(ReadWith(R"("tools":[{"name":"f","description":"d","cache_control":{},
                     "input_schema":{"type":"object"}},
                     {"type":"custom","name":"g","input_schema":{},"strict":true}],
                     "tool_choice":{"type":"any","disable_parallel_tool_use":true})"),
             R"(max_tokens: 9 messages { role: "user" content: "hi" }
                tools { name: "f" description: "d" parameters: '{"type":"object"}' }
                tools { name: "g" parameters: "{}" strict: true }
                tool_choice { mode: "required" } extra: '{"parallel_tool_calls":false}')");
  const auto choice = [](const std::string& text) {
    return ReadWith(absl::StrCat(R"("tool_choice":)", text)).chat.tool_choice();
  };
  EXPECT_EQ(choice(R"({"type":"auto"})").mode(), "auto");
  EXPECT_EQ(choice(R"({"type":"none"})").mode(), "none");
  EXPECT_EQ(choice(R"({"type":"tool","name":"f"})").mode(), "tool");
  EXPECT_EQ(choice(R"({"type":"tool","name":"f"})").name(), "f");
}

TEST(AnthropicRequestTest, AFormatIsAStrictSchemaByEitherName) {
  const std::string format = R"({"type":"json_schema","schema":{"type":"object"}})";
  for (const std::string& members : {absl::StrCat(R"("output_config":{"format":)", format, "}"),
                                     absl::StrCat(R"("output_format":)", format)}) {
    ExpectChat(ReadWith(members), R"(max_tokens: 9 messages { role: "user" content: "hi" }
        response_format { type: "json_schema" name: "answer" schema: '{"type":"object"}'
                          strict: true })");
  }
}

TEST(AnthropicRequestTest, WhatHasNoWordGoesOnUntouched) {
  const auto request = ReadWith(
      R"("top_k":40,"thinking":{"type":"enabled","budget_tokens":1024},"service_tier":"auto",
         "nothing":null,"metadata":{"user_id":null},
         "output_config":{"effort":"low","format":{"type":"json_schema","schema":{}}})");
  EXPECT_EQ(request.chat.extra(),
            R"({"top_k":40,"thinking":{"type":"enabled","budget_tokens":1024},)"
            R"("service_tier":"auto","output_config":{"effort":"low"}})");
  EXPECT_EQ(request.chat.response_format().schema(), "{}");
  EXPECT_EQ(ReadWith(R"("stream":false)").chat.extra(), "");
}

TEST(AnthropicRequestTest, OnlyACountNeedsNoMaxTokens) {
  const std::string body = R"({"messages":[{"role":"user","content":"hi"}]})";
  EXPECT_FALSE(Read(body, AnthropicPath::kCountTokens).chat.has_max_tokens());
  AnthropicRequest request;
  const auto refused = ReadAnthropicRequest(body, AnthropicPath::kMessages, request);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->field, "max_tokens");
  EXPECT_EQ(refused->reason, "FIELD_REQUIRED");
}

}  // namespace
}  // namespace aibackend::gateway
