#include "server/models/anthropic_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace aibackend::models {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

nlohmann::json BodyOf(const GenerateRequest& request) {
  return nlohmann::json::parse(MessagesBody(request, "claude-x", request.messages, 12));
}

TEST(MessagesBody, CarriesWhatWasAskedForAndNothingElse) {
  GenerateRequest request;
  request.messages = {{Role::kUser, "Hi"}};
  EXPECT_EQ(BodyOf(request), nlohmann::json::parse(R"({
    "model": "claude-x", "max_tokens": 12, "stream": false,
    "messages": [{"role": "user", "content": "Hi"}]
  })"));
  request.messages = {{Role::kSystem, "Be brief."},
                      {Role::kUser, "Hi"},
                      {Role::kAssistant, "Hello"},
                      {Role::kUser, "Bye"}};
  request.temperature = 0.5;
  request.user = "u1";
  request.stream = true;
  EXPECT_EQ(BodyOf(request), nlohmann::json::parse(R"({
    "model": "claude-x", "max_tokens": 12, "temperature": 0.5, "stream": true,
    "metadata": {"user_id": "u1"}, "system": "Be brief.",
    "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"},
                 {"role": "user", "content": "Bye"}]
  })"));
}

TEST(MessagesBody, SystemMessagesGoToTheTopAndNeighboursOfOneRoleBecomeOne) {
  GenerateRequest request;
  request.messages = {{Role::kSystem, "s"},    {Role::kUser, "a"},      {Role::kUser, "b"},
                      {Role::kAssistant, "c"}, {Role::kAssistant, "d"}, {Role::kUser, "e"},
                      {Role::kSystem, "t"},    {Role::kUser, "f"}};
  const auto body = BodyOf(request);
  const auto two = [](const char* first, const char* second) {
    return nlohmann::json(
        {{{"type", "text"}, {"text", first}}, {{"type", "text"}, {"text", second}}});
  };
  EXPECT_EQ(body["system"], "s\n\nt");
  EXPECT_EQ(body["messages"], nlohmann::json({{{"role", "user"}, {"content", two("a", "b")}},
                                              {{"role", "assistant"}, {"content", two("c", "d")}},
                                              {{"role", "user"}, {"content", two("e", "f")}}}));
}

TEST(MessagesBody, MessagesWithoutTextAreLeftOut) {
  GenerateRequest request;
  request.messages = {
      {Role::kSystem, ""}, {Role::kUser, "a"}, {Role::kAssistant, " \n"}, {Role::kUser, " "}};
  const auto body = BodyOf(request);
  EXPECT_FALSE(body.contains("system"));
  EXPECT_EQ(body["messages"], nlohmann::json::parse(R"([{"role": "user", "content": "a"}])"));
}

TEST(MessagesBody, TextThatIsNotUtf8IsMended) {
  GenerateRequest request;
  request.messages = {{Role::kUser, "a\xFFz"}};
  EXPECT_EQ(BodyOf(request)["messages"][0]["content"], "a\xEF\xBF\xBDz");
}

std::string TextOfBody(const GenerateRequest& request) {
  return MessagesBody(request, "claude-x", request.messages, 12);
}

ChatMessage ToolAnswer(const std::string& id, const std::string& content) {
  ChatMessage message;
  message.role = Role::kTool;
  message.tool_call_id = id;
  message.content = content;
  return message;
}

// JSON whose text a reader's value would not keep.
constexpr char kExact[] = R"({"z":1.0, "a":12345678901234567890,"e":1e400})";

TEST(MessagesBody, PartsBecomeBlocks) {
  GenerateRequest request;
  request.messages.emplace_back().parts = {
      {ContentPart::Kind::kText, "What is this?", "", ""},
      {ContentPart::Kind::kText, " ", "", ""},
      {ContentPart::Kind::kImage, "", "https://x.test/a,b.png", "low"},
      {ContentPart::Kind::kImage, "", "data:image/png;charset=x;base64,AA+/", ""},
      {ContentPart::Kind::kImage, "", "data:image/png,no base64", ""},
      {ContentPart::Kind::kRaw, R"({"type":"document","n":1.0})", "", ""}};
  EXPECT_EQ(BodyOf(request)["messages"], nlohmann::json::parse(R"([{"role": "user", "content": [
    {"type": "text", "text": "What is this?"},
    {"type": "image", "source": {"type": "url", "url": "https://x.test/a,b.png"}},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA+/"}},
    {"type": "image", "source": {"type": "url", "url": "data:image/png,no base64"}},
    {"type": "document", "n": 1.0}]}])"));
  EXPECT_THAT(TextOfBody(request), HasSubstr(R"({"type":"document","n":1.0})"));
}

TEST(MessagesBody, RawBlocksKeepTheSystemPromptInBlocks) {
  GenerateRequest request;
  ChatMessage& system = request.messages.emplace_back();
  system.role = Role::kSystem;
  system.parts = {{ContentPart::Kind::kRaw, R"({"type":"text","text":"s","cache":{}})", "", ""}};
  request.messages.push_back({Role::kSystem, "t"});
  request.messages.push_back({Role::kUser, "u"});
  EXPECT_EQ(BodyOf(request)["system"], nlohmann::json::parse(R"([
    {"type": "text", "text": "s", "cache": {}}, {"type": "text", "text": "t"}])"));
}

TEST(MessagesBody, CallsAndTheirAnswersAreBlocksAndAnswersComeFirst) {
  GenerateRequest request;
  request.messages.push_back({Role::kUser, "Weather?"});
  ChatMessage& calls = request.messages.emplace_back();
  calls.role = Role::kAssistant;
  calls.content = "Wait.";
  calls.tool_calls = {{"a", "f", kExact}, {"b", "g", ""}, {"c", "h", "[1]"}};
  request.messages.push_back(ToolAnswer("a", "Sun"));
  request.messages.push_back({Role::kUser, "Quick!"});
  request.messages.push_back(ToolAnswer("b", ""));
  request.messages.push_back(ToolAnswer("c", ""));
  request.messages.back().parts = {{ContentPart::Kind::kText, "see", "", ""},
                                   {ContentPart::Kind::kImage, "", "https://x.test/a", ""}};
  EXPECT_THAT(TextOfBody(request), HasSubstr(absl::StrCat(R"("input":)", kExact, "}")));
  request.messages[1].tool_calls[0].arguments = "{}";
  EXPECT_EQ(BodyOf(request)["messages"], nlohmann::json::parse(R"([
    {"role": "user", "content": "Weather?"},
    {"role": "assistant", "content": [
      {"type": "text", "text": "Wait."},
      {"type": "tool_use", "id": "a", "name": "f", "input": {}},
      {"type": "tool_use", "id": "b", "name": "g", "input": {}},
      {"type": "tool_use", "id": "c", "name": "h", "input": {"arguments": "[1]"}}]},
    {"role": "user", "content": [
      {"type": "tool_result", "tool_use_id": "a", "content": "Sun"},
      {"type": "tool_result", "tool_use_id": "b"},
      {"type": "tool_result", "tool_use_id": "c", "content": [
        {"type": "text", "text": "see"},
        {"type": "image", "source": {"type": "url", "url": "https://x.test/a"}}]},
      {"type": "text", "text": "Quick!"}]}])"));
}

TEST(MessagesBody, ToolsGoWithTheirSchemaUntouched) {
  GenerateRequest request;
  request.tools.resize(2);
  request.tools[0] = {"f", "does f", kExact, true};
  request.tools[1].name = "g";
  EXPECT_THAT(TextOfBody(request),
              HasSubstr(R"("tools":[{"name":"f","description":"does f","input_schema":)" +
                        std::string(kExact) +
                        R"(,"strict":true},{"name":"g","input_schema":)"
                        R"({"type":"object","properties":{}}}])"));
}

TEST(MessagesBody, EveryToolChoiceHasItsForm) {
  using Mode = ToolChoice::Mode;
  GenerateRequest request;
  request.tools.resize(1);
  request.tools[0].name = "f";
  EXPECT_FALSE(BodyOf(request).contains("tool_choice"));
  for (const auto& [mode, json] : std::vector<std::pair<Mode, std::string>>{
           {Mode::kAuto, R"({"type": "auto")"},
           {Mode::kNone, R"({"type": "none")"},
           {Mode::kRequired, R"({"type": "any")"},
           {Mode::kTool, R"({"type": "tool", "name": "f")"}}) {
    request.extra = "";
    request.tool_choice = ToolChoice{mode, "f"};
    EXPECT_EQ(BodyOf(request)["tool_choice"], nlohmann::json::parse(json + "}"));
    request.extra = R"({"parallel_tool_calls":false})";
    const std::string single =
        mode == Mode::kNone ? "}" : R"(, "disable_parallel_tool_use": true})";
    EXPECT_EQ(BodyOf(request)["tool_choice"], nlohmann::json::parse(json + single));
    EXPECT_FALSE(BodyOf(request).contains("parallel_tool_calls"));
  }
}

TEST(MessagesBody, OneToolAtATimeIsAChoiceOfItsOwn) {
  GenerateRequest request;
  request.tools.resize(1);
  request.tools[0].name = "f";
  request.extra = R"({"parallel_tool_calls":false})";
  EXPECT_EQ(BodyOf(request)["tool_choice"],
            nlohmann::json::parse(R"({"type": "auto", "disable_parallel_tool_use": true})"));
  request.extra = R"({"parallel_tool_calls":true})";
  EXPECT_FALSE(BodyOf(request).contains("tool_choice"));
}

TEST(MessagesBody, ASchemaForTheAnswerIsAnOutputConfig) {
  GenerateRequest request;
  request.response_format = {ResponseFormat::Type::kJsonSchema, "city", "", kExact, true};
  const std::string format =
      absl::StrCat(R"("output_config":{"format":{"type":"json_schema","schema":)", kExact, "}");
  EXPECT_THAT(TextOfBody(request), HasSubstr(format + "}"));
  request.extra = R"({"output_config":{"effort":"low","format":7},"k":1})";
  EXPECT_THAT(TextOfBody(request), HasSubstr(format + R"(,"effort":"low"},)"));
  EXPECT_FALSE(BodyOf(GenerateRequest()).contains("output_config"));
}

TEST(MessagesBody, AJsonObjectIsAskedForInTheSystemPrompt) {
  GenerateRequest request;
  request.messages = {{Role::kSystem, "Be brief."}, {Role::kUser, "x"}};
  request.response_format = ResponseFormat();
  EXPECT_EQ(BodyOf(request)["system"], "Be brief.");
  for (const auto type : {ResponseFormat::Type::kJsonObject, ResponseFormat::Type::kJsonSchema}) {
    request.response_format->type = type;
    EXPECT_THAT(BodyOf(request)["system"].get<std::string>(),
                AllOf(StartsWith("Be brief.\n\n"), HasSubstr("one JSON object")));
  }
}

TEST(MessagesBody, SamplingParametersAreCarriedAndThoseItDoesNotKnowAreLeftOut) {
  GenerateRequest request;
  request.stop = {"END"};
  request.top_p = 0.1;
  request.seed = 7;
  request.top_logprobs = 3;
  request.user = "u1";
  request.extra = R"({"thinking":{"type":"enabled","budget_tokens":1024},"metadata":{"x":1.0},
                      "model":"m","system":"s","messages":[],"stream":true})";
  const auto body = BodyOf(request);
  EXPECT_EQ(body, nlohmann::json::parse(R"({"model": "claude-x", "max_tokens": 12, "messages": [],
    "stop_sequences": ["END"], "top_p": 0.1, "stream": false,
    "thinking": {"type": "enabled", "budget_tokens": 1024}, "metadata": {"x": 1.0}})"));
}

TEST(MessagesBody, ALimitUnderOpenAisNameTooIsSaidOnce) {
  GenerateRequest request;
  request.max_tokens = 12;
  request.extra = R"({"max_completion_tokens":12})";
  EXPECT_EQ(BodyOf(request), nlohmann::json::parse(R"({"model": "claude-x", "max_tokens": 12,
    "messages": [], "stream": false})"));
}

}  // namespace
}  // namespace aibackend::models
