#include "server/models/openai_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace aibackend::models {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

GenerateRequest AskFor(const std::string& text) {
  GenerateRequest request;
  request.messages = {{Role::kSystem, "Be brief."}, {Role::kUser, text}};
  return request;
}

nlohmann::json BodyOf(const GenerateRequest& request) {
  return nlohmann::json::parse(RequestBody(request, "gpt-x", request.messages));
}

TEST(RequestBody, CarriesWhatWasAskedForAndNothingElse) {
  EXPECT_EQ(BodyOf(AskFor("Hi")), nlohmann::json::parse(R"({
    "model": "gpt-x", "stream": false,
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
  })"));
  GenerateRequest request = AskFor("Hi");
  request.messages.push_back({Role::kAssistant, "Hello"});
  request.temperature = 0.7;
  request.max_tokens = 12;
  request.user = "u1";
  request.stream = true;
  EXPECT_EQ(BodyOf(request), nlohmann::json::parse(R"({
    "model": "gpt-x", "temperature": 0.7, "max_tokens": 12, "user": "u1",
    "stream": true, "stream_options": {"include_usage": true},
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"},
                 {"role": "assistant", "content": "Hello"}]
  })"));
}

TEST(RequestBody, TextThatIsNotUtf8IsMended) {
  EXPECT_EQ(BodyOf(AskFor("a\xFFz"))["messages"][1]["content"], "a\xEF\xBF\xBDz");
}

TEST(WithSystemPrompt, ItStandsAfterTheLeadingSystemMessages) {
  const auto roles = [](std::vector<ChatMessage> messages) {
    std::string contents;
    for (const auto& message : WithSystemPrompt(std::move(messages), "+")) {
      contents += message.content;
    }
    return contents;
  };
  EXPECT_EQ(roles({{Role::kSystem, "s"}, {Role::kSystem, "t"}, {Role::kUser, "u"}}), "st+u");
  EXPECT_EQ(roles({{Role::kUser, "u"}, {Role::kSystem, "s"}, {Role::kUser, "v"}}), "+usv");
}

std::string TextOfBody(const GenerateRequest& request) {
  return RequestBody(request, "gpt-x", request.messages);
}

// JSON whose text a reader's value would not keep.
constexpr char kExact[] = R"({"z":1.0, "a":12345678901234567890,"e":1e400})";

TEST(RequestBody, PartsOfAMessageKeepTheirOrderAndForm) {
  GenerateRequest request;
  ChatMessage& message = request.messages.emplace_back();
  message.name = "Ann";
  message.parts = {{ContentPart::Kind::kText, "What is this?", "", ""},
                   {ContentPart::Kind::kImage, "", "https://x.test/a.png", "low"},
                   {ContentPart::Kind::kImage, "", "data:image/png;base64,AAAA", ""},
                   {ContentPart::Kind::kRaw, R"({"type":"file","n":1.0})", "", ""}};
  EXPECT_EQ(BodyOf(request)["messages"], nlohmann::json::parse(R"([{"role": "user", "name": "Ann",
    "content": [{"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "file", "n": 1.0}]}])"));
  EXPECT_THAT(TextOfBody(request), HasSubstr(R"({"type":"file","n":1.0})"));
}

TEST(RequestBody, CallsAndTheirAnswersAreMessages) {
  GenerateRequest request = AskFor("Weather?");
  ChatMessage& calls = request.messages.emplace_back();
  calls.role = Role::kAssistant;
  calls.tool_calls = {{"a", "weather", "{\"city\":\"B\""}, {"b", "time", "{}"}};
  ChatMessage& answer = request.messages.emplace_back();
  answer.role = Role::kTool;
  answer.tool_call_id = "a";
  answer.content = "Sun";
  const auto messages = BodyOf(request)["messages"];
  EXPECT_EQ(messages[2], nlohmann::json::parse(R"({"role": "assistant", "content": null,
    "tool_calls": [
      {"id": "a", "type": "function",
       "function": {"name": "weather", "arguments": "{\"city\":\"B\""}},
      {"id": "b", "type": "function", "function": {"name": "time", "arguments": "{}"}}]})"));
  EXPECT_EQ(messages[3],
            nlohmann::json::parse(R"({"role": "tool", "tool_call_id": "a", "content": "Sun"})"));
  request.messages[2].content = "Wait.";
  EXPECT_EQ(BodyOf(request)["messages"][2]["content"], "Wait.");
}

TEST(RequestBody, ToolsGoWithTheirSchemaUntouched) {
  GenerateRequest request = AskFor("x");
  request.tools.resize(2);
  request.tools[0] = {"f", "does f", kExact, true};
  request.tools[1].name = "g";
  EXPECT_THAT(TextOfBody(request),
              HasSubstr(R"("tools":[{"type":"function","function":{"name":"f",)"
                        R"("description":"does f","parameters":)" +
                        std::string(kExact) +
                        R"(,"strict":true}},{"type":"function","function":{"name":"g"}}])"));
}

TEST(RequestBody, EveryToolChoiceHasItsForm) {
  using Mode = ToolChoice::Mode;
  GenerateRequest request = AskFor("x");
  request.tool_choice = ToolChoice{Mode::kNone, ""};
  EXPECT_FALSE(BodyOf(request).contains("tool_choice")) << "without tools it would be refused";
  request.tools.resize(1);
  request.tools[0].name = "f";
  for (const auto& [mode, json] : std::vector<std::pair<Mode, std::string>>{
           {Mode::kAuto, R"("auto")"},
           {Mode::kNone, R"("none")"},
           {Mode::kRequired, R"("required")"},
           {Mode::kTool, R"({"type": "function", "function": {"name": "f"}})"}}) {
    request.tool_choice = ToolChoice{mode, "f"};
    EXPECT_EQ(BodyOf(request)["tool_choice"], nlohmann::json::parse(json));
  }
}

TEST(RequestBody, EveryResponseFormatHasItsForm) {
  GenerateRequest request = AskFor("x");
  request.response_format = ResponseFormat();
  EXPECT_EQ(BodyOf(request)["response_format"], nlohmann::json::parse(R"({"type":"text"})"));
  request.response_format->type = ResponseFormat::Type::kJsonObject;
  EXPECT_EQ(BodyOf(request)["response_format"], nlohmann::json::parse(R"({"type":"json_object"})"));
  request.response_format = {ResponseFormat::Type::kJsonSchema, "city", "a city", kExact, false};
  EXPECT_THAT(TextOfBody(request), HasSubstr(R"("response_format":{"type":"json_schema",)"
                                             R"("json_schema":{"name":"city","description":)"
                                             R"("a city","schema":)" +
                                             std::string(kExact) + R"(,"strict":false}})"));
}

TEST(RequestBody, SamplingParametersAreCarried) {
  GenerateRequest request = AskFor("x");
  request.stop = {"END", "\n"};
  request.seed = -9007199254740993;
  request.top_p = 0.1;
  request.top_logprobs = 0;
  const auto body = BodyOf(request);
  EXPECT_EQ(body["stop"], nlohmann::json({"END", "\n"}));
  EXPECT_EQ(body["seed"].get<int64_t>(), -9007199254740993);
  EXPECT_EQ(body["top_p"], 0.1);
  EXPECT_EQ(body["logprobs"], true);
  EXPECT_EQ(body["top_logprobs"], 0);
}

TEST(RequestBody, ExtraJoinsUntouchedAndMayReplaceAllButTheFixedMembers) {
  GenerateRequest request = AskFor("x");
  request.user = "u1";
  request.max_tokens = 5;
  request.stream = true;
  request.extra = R"({"z":1.0,"user":"u2","max_completion_tokens":7,"a":12345678901234567890,
      "model":"m","mess\u0061ges":[],"stream":false,"stream_options":{},"e":1e400})";
  const std::string body = TextOfBody(request);
  EXPECT_THAT(body, EndsWith(R"(,"z":1.0,"user":"u2","max_completion_tokens":7,)"
                             R"("a":12345678901234567890,"e":1e400})"));
  EXPECT_THAT(body, StartsWith(R"({"model":"gpt-x","messages":[{)"));
  EXPECT_THAT(body, Not(HasSubstr("u1")));
  EXPECT_THAT(body, Not(HasSubstr("max_tokens")));
  EXPECT_THAT(body, HasSubstr(R"("stream":true,"stream_options":{"include_usage":true})"));
}

TEST(RequestBody, ExtraThatIsNoObjectIsNone) {
  GenerateRequest request = AskFor("x");
  const std::string plain = TextOfBody(request);
  for (const char* extra : {"{}", " ", "[]", "{\"a\":1", "{\"a\":1},\"model\":\"m\"", "}"}) {
    request.extra = extra;
    EXPECT_EQ(TextOfBody(request), plain) << extra;
  }
}

}  // namespace
}  // namespace aibackend::models
