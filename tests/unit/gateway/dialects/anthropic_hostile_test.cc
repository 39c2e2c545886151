// What no SDK sends: the dialect answers a 400 that names the place, and never breaks.
#include <gtest/gtest.h>

#include <random>

#include "absl/strings/str_cat.h"
#include "gateway/dialects/anthropic_request.h"
#include "gateway/dialects/json_node.h"
#include "tests/unit/gateway/dialects/anthropic_fixture.h"

namespace aibackend::gateway {
namespace {

using nlohmann::json;

// Uses every word that the dialect knows.
constexpr char kSeed[] = R"({"model":"m","max_tokens":9,"temperature":0.5,"top_p":1,"top_k":3,
  "system":[{"type":"text","text":"s"}],"stop_sequences":["x"],"stream":true,
  "metadata":{"user_id":"u"},"thinking":{"type":"enabled","budget_tokens":1024},
  "tools":[{"name":"f","description":"d","input_schema":{"type":"object"},"strict":true}],
  "tool_choice":{"type":"tool","name":"f"},
  "output_config":{"effort":"low","format":{"type":"json_schema","schema":{"type":"object"}}},
  "messages":[{"role":"user","content":"hi"},
    {"role":"assistant","content":[{"type":"thinking","thinking":"h","signature":"s"},
      {"type":"text","text":"t"},{"type":"tool_use","id":"t1","name":"f","input":{"a":1}}]},
    {"role":"user","content":[
      {"type":"tool_result","tool_use_id":"t1","is_error":true,
       "content":[{"type":"text","text":"r"}]},
      {"type":"image","source":{"type":"base64","media_type":"image/png","data":"QQ=="}},
      {"type":"image","source":{"type":"url","url":"https://x/y"}},
      {"type":"document","source":{"type":"text","data":"d"}}]}]})";

// The seed with the value at `pointer` (RFC 6901) replaced; "" removes it.
std::string With(const std::string& pointer, const std::string& value) {
  json body = json::parse(kSeed);
  const json::json_pointer place(pointer);
  if (value.empty()) {
    body.at(place.parent_pointer()).erase(place.back());
  } else {
    body[place] = json::parse(value);
  }
  return body.dump();
}

struct Hostile {
  std::string body;
  std::string message_begins;
};

std::vector<Hostile> HostileRequests() {
  std::vector<Hostile> cases = {
      {"", "the body is empty"},
      {"[]", "the body must be a JSON object"},
      {"{\"max_tokens\":", "the body is not valid JSON"},
      {R"({"max_tokens":9,"messages":[{"role":"user","content":"\ud800"}]})", ""},
      {"{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}", ""},
      {With("/max_tokens", ""), "max_tokens: must be given"},
      {With("/max_tokens", "1.5"), "max_tokens: "},
      {With("/max_tokens", "1e300"), "max_tokens: "},
      {With("/max_tokens", "99999999999"), "max_tokens: is too large"},
      {With("/messages", ""), "messages: must be given"},
      {With("/messages", "[[]]"), "messages.0: must be an object"},
      {With("/messages/0/role", "\"tool\""), "messages.0.role: must be user, assistant or system"},
      {With("/messages/0/content", "null"), "messages.0.content: must be given"},
      {With("/messages/2/content/0/tool_use_id", ""), "messages.2.content.0.tool_use_id: "},
      {With("/messages/1/content/2/input", "[1]"), "messages.1.content.2.input: must be an object"},
      {With("/messages/1/content/2/id", ""), "messages.1.content.2.id: must be given"},
      {With("/messages/2/content/1/source/data", ""), "messages.2.content.1.source.data: must"},
      {With("/messages/2/content/1/type", ""), "messages.2.content.1.type: must be given"},
      {With("/system/0/type", "\"image\""), "system.0.type: a system message holds text"},
      {With("/tools/0/type", "\"bash_20250124\""), "tools.0.type: only custom tools"},
      {With("/tools/0/input_schema", ""), "tools.0.input_schema: must be given"},
      {With("/tool_choice/type", "\"each\""), "tool_choice.type: must be auto, any, tool or none"},
      {With("/tool_choice/name", ""), "tool_choice.name: must be given"},
      {With("/output_config/format/type", "\"xml\""), "output_config.format.type: must be"},
  };
  // A value of the wrong type, at each place that must have another one.
  for (const char* name :
       {"model", "max_tokens", "temperature", "top_p", "system", "stop_sequences", "stream",
        "metadata", "tools", "tool_choice", "output_config", "messages"}) {
    const std::string wrong = std::string(name) == "stream" ? "\"yes\"" : "true";
    cases.push_back({With(absl::StrCat("/", name), wrong), absl::StrCat(name, ": must be")});
  }
  const std::pair<const char*, const char*> inner[] = {
      {"/messages/0/role", "messages.0.role"},
      {"/messages/0/content", "messages.0.content"},
      {"/messages/1/content/0", "messages.1.content.0"},
      {"/messages/1/content/0/signature", "messages.1.content.0.signature"},
      {"/messages/1/content/1/text", "messages.1.content.1.text"},
      {"/messages/1/content/2/name", "messages.1.content.2.name"},
      {"/messages/2/content/0/content", "messages.2.content.0.content"},
      {"/messages/2/content/1/source", "messages.2.content.1.source"},
      {"/messages/2/content/2/source/url", "messages.2.content.2.source.url"},
      {"/metadata/user_id", "metadata.user_id"},
      {"/stop_sequences/0", "stop_sequences.0"},
      {"/tools/0/name", "tools.0.name"},
      {"/tools/0/description", "tools.0.description"},
      {"/tools/0/input_schema", "tools.0.input_schema"},
      {"/output_config/format", "output_config.format"}};
  for (const auto& [pointer, path] : inner)
    cases.push_back({With(pointer, "7"), absl::StrCat(path, ": must be")});
  return cases;
}

TEST_F(AnthropicTest, WhatIsWrongIs400AndNamedByItsPlace) {
  for (const Hostile& hostile : HostileRequests()) {
    exchange_ = std::make_shared<FakeExchange>();
    Post("/v1/messages", hostile.body);
    const auto answer = exchange_->WaitForEnding();
    EXPECT_EQ(answer.status, 400) << hostile.body;
    const json error = json::parse(answer.body)["error"];
    EXPECT_EQ(error["type"], "invalid_request_error");
    const std::string message = error["message"];
    EXPECT_EQ(message.substr(0, hostile.message_begins.size()), hostile.message_begins)
        << message << " for " << hostile.body;
  }
}

TEST(AnthropicRequestTest, AnArrayOfNothingsIsRefusedBeforeItTakesMemory) {
  std::string body = R"({"max_tokens":9,"messages":[0)";
  for (size_t i = 0; i < kJsonElementsMax; ++i) body += ",0";
  AnthropicRequest request;
  const auto refused = ReadAnthropicRequest(body + "]}", AnthropicPath::kMessages, request);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->field, "messages");
  EXPECT_EQ(refused->reason, "FIELD_OUT_OF_RANGE");
}

// Mutates the seed, and parts of it into others.
class Mutator {
 public:
  std::string Next() {
    if (Pick(4) == 0) return Bytes(kSeed);
    json body = json::parse(kSeed);
    for (size_t i = 0; i <= Pick(3); ++i) {
      const json donor = *Somewhere(body);
      json* place = Somewhere(body);
      *place = Pick(2) == 0 ? Odd() : donor;
    }
    return body.dump();
  }

 private:
  size_t Pick(size_t count) { return std::uniform_int_distribution<size_t>(0, count - 1)(random_); }

  std::string Bytes(std::string text) {
    for (size_t i = 0; i <= Pick(4); ++i) {
      const size_t at = Pick(text.size());
      if (Pick(3) == 0) {
        text.erase(at, 1 + Pick(20));
      } else {
        text[at] = static_cast<char>(Pick(256));
      }
    }
    return text;
  }

  json* Somewhere(json& body) {
    json* place = &body;
    while (place->is_structured() && !place->empty() && Pick(5) != 0)
      place = &*std::next(place->begin(), static_cast<std::ptrdiff_t>(Pick(place->size())));
    return place;
  }

  json Odd() {
    const json odd[] = {nullptr,
                        true,
                        -1,
                        1e308,
                        std::numeric_limits<uint64_t>::max(),
                        "",
                        "text",
                        "tool_result",
                        "tool_use",
                        "image",
                        std::string(100, '['),
                        json::array(),
                        json::object(),
                        json::array({json::object()}),
                        json::array({nullptr, "x"}),
                        {{"type", "text"}}};
    return odd[Pick(std::size(odd))];
  }

  std::mt19937 random_{20251120};  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same in every run
};

TEST(AnthropicRequestTest, NoMutationOfARequestBreaksTheReader) {
  constexpr int kMutations = 5'000;
  Mutator mutator;
  int refused_count = 0;
  for (int i = 0; i < kMutations; ++i) {
    const std::string body = mutator.Next();
    for (const auto path : {AnthropicPath::kMessages, AnthropicPath::kCountTokens}) {
      AnthropicRequest request;
      const auto refused = ReadAnthropicRequest(body, path, request);
      if (refused) {
        ++refused_count;
        EXPECT_GE(refused->http_status, 400) << body;
        EXPECT_LT(refused->http_status, 500) << body;
        continue;
      }
      // What goes on must be a message that gRPC takes, whose JSON is JSON.
      std::string bytes;
      EXPECT_TRUE(request.chat.SerializeToString(&bytes));
      EXPECT_TRUE(v1::ChatRequest().ParseFromString(bytes)) << body;
      EXPECT_TRUE(request.chat.extra().empty() || json::accept(request.chat.extra())) << body;
      EXPECT_EQ(request.origins.size(), static_cast<size_t>(request.chat.messages_size()));
      for (const v1::Tool& tool : request.chat.tools())
        EXPECT_TRUE(json::accept(tool.parameters()));
    }
  }
  EXPECT_GT(refused_count, kMutations / 10);       // the mutations do hurt,
  EXPECT_LT(refused_count, kMutations * 19 / 10);  // and some are still requests
}

}  // namespace
}  // namespace aibackend::gateway
