// Turns under guardrails.
#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "server/base/status.h"
#include "server/chat/chat_service.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/server/chat/scripted_model.h"

namespace aibackend::chat {
namespace {

using guard::Rule;
using Names = std::vector<std::string>;

Rule RuleOf(std::string name, Rule::On on, Rule::Kind kind, Rule::Action action,
            std::string pattern = "") {
  Rule rule;
  rule.name = std::move(name);
  rule.on = on;
  rule.kind = kind;
  rule.action = action;
  rule.pattern = std::move(pattern);
  return rule;
}

class GuardedTurnTest : public testing::Test {
 protected:
  GuardedTurnTest() { EXPECT_TRUE(catalog_.Add(model_).ok()); }

  void Use(const std::vector<Rule>& rules) {
    auto built = guard::Guardrails::Build(rules);
    ASSERT_TRUE(built.ok()) << built.status();
    rails_ = *std::move(built);
    ChatService::Options options;
    options.guardrails = &rails_;
    service_ = std::make_unique<ChatService>(catalog_, retriever_, executor_, clock_, options);
  }
  static TurnRequest Ask(std::string text) {
    TurnRequest request;
    request.generate.messages = {{models::Role::kUser, std::move(text)}};
    request.retrieval.enabled = false;
    return request;
  }
  std::shared_ptr<models::GenerateSink> Start(TurnRequest request) {
    EXPECT_TRUE(service_->Start(std::move(request), sink_).ok());
    return model_.TakeSink();
  }
  const TurnResult& End(models::GenerateSink& model_sink, absl::Status status = absl::OkStatus()) {
    models::GenerateResult result;
    result.status = std::move(status);
    result.finish_reason = "stop";
    result.usage = {3, 2, false};
    result.upstream_calls = 1;
    model_sink.OnDone(result);
    return Result();
  }
  const TurnResult& Result() {
    sink_->done.WaitForNotification();
    return sink_->result;
  }

  FakeClock clock_;
  FakeRetriever retriever_;
  ScriptedModel model_;
  models::ModelCatalog catalog_;
  guard::Guardrails rails_;
  std::shared_ptr<Collected> sink_ = std::make_shared<Collected>();
  Executor executor_{2, 100};
  std::unique_ptr<ChatService> service_;
};

const Rule kMaskMail = RuleOf("mail", Rule::On::kBoth, Rule::Kind::kEmail, Rule::Action::kMask);
const Rule kBlockKey =
    RuleOf("key", Rule::On::kBoth, Rule::Kind::kRegex, Rule::Action::kBlock, "sk-[a-z]{4}");

TEST_F(GuardedTurnTest, TheModelSeesWhatTheRulesLeaveOfWhatUsersSay) {
  Use({kMaskMail});
  TurnRequest request = Ask("");
  models::ContentPart text;
  text.text = "and c@d.de";
  request.generate.messages = {{models::Role::kSystem, "You are a@b.de"},
                               {models::Role::kUser, "I am a@b.de"},
                               {models::Role::kAssistant, "Hello a@b.de"},
                               {models::Role::kUser, ""}};
  request.generate.messages[3].parts = {text};
  auto model_sink = Start(request);
  const auto messages = model_.request().messages;
  EXPECT_EQ(messages[0].content, "You are a@b.de");
  EXPECT_EQ(messages[1].content, "I am [email]");
  EXPECT_EQ(messages[2].content, "Hello a@b.de");
  EXPECT_EQ(messages[3].parts[0].text, "and [email]");
  EXPECT_EQ(End(*model_sink).guardrails, Names{"mail:mask"});
}

models::ContentPart PartOf(models::ContentPart::Kind kind, std::string text) {
  models::ContentPart part;
  part.kind = kind;
  (kind == models::ContentPart::Kind::kImage ? part.url : part.text) = std::move(text);
  return part;
}
models::ContentPart TextPart(std::string text) {
  return PartOf(models::ContentPart::Kind::kText, std::move(text));
}
models::ContentPart RawPart(std::string json) {
  return PartOf(models::ContentPart::Kind::kRaw, std::move(json));
}
TurnRequest AskInParts(std::vector<models::ContentPart> parts) {
  TurnRequest request;
  request.generate.messages = {{models::Role::kUser, "", std::move(parts)}};
  request.retrieval.enabled = false;
  return request;
}
// The texts of what is asked, as the rules leave them.
Names Parts(const TurnRequest& request) {
  Names texts;
  for (const models::ContentPart& part : request.generate.messages[0].parts) {
    texts.push_back(part.kind == models::ContentPart::Kind::kImage ? part.url : part.text);
  }
  return texts;
}

TEST_F(GuardedTurnTest, PartsAreUnderTheRulesEachAndAsTheOneTextThatTheyMayBecome) {
  Use({kMaskMail, RuleOf("end", Rule::On::kInput, Rule::Kind::kRegex, Rule::Action::kMask,
                         R"(top secret\b)")});
  TurnRequest request = AskInParts({TextPart("I am a@"), TextPart("b.d"), TextPart("e, and you?")});
  ASSERT_TRUE(service_->Guard(request).ok());
  EXPECT_EQ(Parts(request), (Names{"I am ", "[email], and you?"}));

  request = AskInParts({TextPart("top secret"), TextPart("ly")});
  ASSERT_TRUE(service_->Guard(request).ok());
  EXPECT_EQ(Parts(request), (Names{"[end]", "ly"}));

  const auto image = PartOf(models::ContentPart::Kind::kImage, "https://a.io/a.png");
  request = AskInParts({TextPart("a@b."), image, TextPart("de and c@"), TextPart("d")});
  ASSERT_TRUE(service_->Guard(request).ok());
  EXPECT_EQ(Parts(request), (Names{"a@b.", "https://a.io/a.png", "de and c@", "d"}));
  EXPECT_TRUE(request.guardrails.empty());
}

TEST_F(GuardedTurnTest, ASizeIsTheMessages) {
  Rule size = RuleOf("size", Rule::On::kInput, Rule::Kind::kSize, Rule::Action::kBlock);
  size.bytes_max = 8;
  Use({size});
  TurnRequest request = AskInParts({TextPart("12345"), TextPart("678")});
  EXPECT_TRUE(service_->Guard(request).ok());
  request = AskInParts({TextPart("12345"), TextPart("6789")});
  EXPECT_EQ(ReasonOf(service_->Guard(request)), Reason::CONTENT_BLOCKED);
}

TEST_F(GuardedTurnTest, TheStringsOfARawPartAreUnderTheRules) {
  Use({kMaskMail, kBlockKey});
  TurnRequest request = AskInParts(
      {RawPart(R"({ "type":"x", "n":1.50, "a":["\u0061@b.de \"\n", {"c@d.de":null}] })")});
  ASSERT_TRUE(service_->Guard(request).ok());
  EXPECT_EQ(Parts(request),
            Names{R"({ "type":"x", "n":1.50, "a":["[email] \"\n", {"[email]":null}] })"});
  request = AskInParts({RawPart(R"({"text":"sk-\u0061bcd"})")});
  EXPECT_EQ(ReasonOf(service_->Guard(request)), Reason::CONTENT_BLOCKED);
  request = AskInParts({RawPart(R"({"text":"cut)")});
  EXPECT_EQ(ReasonOf(service_->Guard(request)), Reason::FIELD_INVALID);
}

TEST_F(GuardedTurnTest, AFileInARawPartIsNoText) {
  Use({RuleOf("a", Rule::On::kInput, Rule::Kind::kRegex, Rule::Action::kBlock, "AAAA")});
  const std::string file(1024, 'A');
  for (const std::string& data : {file, "data:application/pdf;base64," + file}) {
    TurnRequest request = AskInParts({RawPart("{\"data\":\"" + data + "\"}")});
    EXPECT_TRUE(service_->Guard(request).ok());
    request = AskInParts({RawPart("{\"data\":\"" + data + " \"}")});
    EXPECT_FALSE(service_->Guard(request).ok());
  }
}

TEST_F(GuardedTurnTest, TextsToEmbedAreUnderTheRulesOfTheInput) {
  Use({kMaskMail, kBlockKey});
  Names texts = {"I am a@b.de", "nobody"};
  Names outcomes;
  ASSERT_TRUE(service_->GuardInputs(texts, outcomes).ok());
  EXPECT_EQ(texts, (Names{"I am [email]", "nobody"}));
  EXPECT_EQ(outcomes, Names{"mail:mask"});
  texts = {"sk-abcd"};
  const absl::Status status = service_->GuardInputs(texts, outcomes);
  EXPECT_EQ(ReasonOf(status), Reason::CONTENT_BLOCKED);
  EXPECT_EQ(FieldOf(status), "input");
  EXPECT_EQ(outcomes, Names{"key:block"});
}

TEST_F(GuardedTurnTest, AMessageThatIsBlockedReachesNobody) {
  Use({kMaskMail, kBlockKey});
  TurnRequest request = Ask("a@b.de uses sk-abcd");
  request.retrieval.enabled = true;
  ASSERT_TRUE(service_->Start(request, sink_).ok());
  const TurnResult& result = Result();
  EXPECT_EQ(ReasonOf(result.status), Reason::CONTENT_BLOCKED);
  EXPECT_EQ(FieldOf(result.status), "messages");
  EXPECT_TRUE(absl::StrContains(result.status.message(), "'key'"));
  EXPECT_FALSE(absl::StrContains(result.status.message(), "abcd"));
  EXPECT_EQ(result.guardrails, (Names{"mail:mask", "key:block"}));
  EXPECT_EQ(model_.calls(), 0);
  EXPECT_EQ(retriever_.calls, 0);
}

TEST_F(GuardedTurnTest, WhoRecordsTheQuestionMayHaveItGuardedBefore) {
  Use({kMaskMail, kBlockKey});
  TurnRequest request = Ask("I am a@b.de");
  ASSERT_TRUE(service_->Guard(request).ok());
  EXPECT_EQ(request.generate.messages[0].content, "I am [email]");
  EXPECT_EQ(request.guardrails, Names{"mail:mask"});
  EXPECT_EQ(End(*Start(request)).guardrails, Names{"mail:mask"});

  TurnRequest blocked = Ask("sk-abcd");
  EXPECT_EQ(ReasonOf(service_->Guard(blocked)), Reason::CONTENT_BLOCKED);
  EXPECT_EQ(blocked.guardrails, Names{"key:block"});
  // Started all the same, it is blocked again.
  sink_ = std::make_shared<Collected>();
  ASSERT_TRUE(service_->Start(blocked, sink_).ok());
  EXPECT_EQ(ReasonOf(Result().status), Reason::CONTENT_BLOCKED);
}

TEST_F(GuardedTurnTest, AnAnswerIsMaskedAlsoWhereAMatchComesInPieces) {
  Use({kMaskMail,
       RuleOf("seen", Rule::On::kOutput, Rule::Kind::kRegex, Rule::Action::kFlag, "to")});
  auto model_sink = Start(Ask("Who?"));
  for (const char* piece : {"Write to a", "@b", ".de", " now, or c@d"}) {
    model_sink->OnDelta(models::Delta(piece));
    EXPECT_FALSE(absl::StrContains(sink_->streamed, "@"));
  }
  model_sink->OnDelta(models::Delta(".de"));
  const TurnResult& result = End(*model_sink);
  EXPECT_TRUE(result.status.ok());
  EXPECT_EQ(sink_->streamed, "Write to [email] now, or [email]");
  EXPECT_EQ(result.answer.text, sink_->streamed);
  EXPECT_EQ(result.guardrails, (Names{"mail:mask", "seen:flag"}));
}

TEST_F(GuardedTurnTest, ABlockInAnAnswerStopsTheModelAndIsPaidFor) {
  Use({kBlockKey});
  auto model_sink = Start(Ask("Who?"));
  model_sink->OnDelta(models::Delta("The key is s"));
  model_sink->OnDelta(models::Delta("k-ab"));
  EXPECT_FALSE(model_.cancelled.HasBeenNotified());
  model_sink->OnDelta(models::Delta("cd, and"));
  model_.cancelled.WaitForNotification();  // perhaps not before the turn has its handle
  model_sink->OnDelta(models::Delta(" more"));
  const TurnResult& result = End(*model_sink, MakeError(Reason::CANCELLED, "cancelled"));
  EXPECT_EQ(sink_->streamed, "The key is ");
  EXPECT_EQ(ReasonOf(result.status), Reason::CONTENT_BLOCKED);
  EXPECT_TRUE(absl::StrContains(result.status.message(), "'key'"));
  EXPECT_EQ(result.answer.text, "The key is ");
  EXPECT_EQ(result.finish_reason, "content_filter");
  EXPECT_EQ(result.usage.completion_tokens, 2);
  EXPECT_EQ(result.upstream_calls, 1);
  EXPECT_EQ(result.guardrails, Names{"key:block"});
}

TEST_F(GuardedTurnTest, AMatchThatIsTheEndOfAnAnswerBlocksIt) {
  Use({RuleOf("end", Rule::On::kOutput, Rule::Kind::kRegex, Rule::Action::kBlock, R"(secret\b)")});
  auto model_sink = Start(Ask("Who?"));
  model_sink->OnDelta(models::Delta("My secret"));
  const TurnResult& result = End(*model_sink);
  EXPECT_EQ(sink_->streamed, "My ");
  EXPECT_EQ(ReasonOf(result.status), Reason::CONTENT_BLOCKED);
}

TEST_F(GuardedTurnTest, WhatBlocksIsTheTextWithoutItsMarks) {
  Use({kMaskMail});
  TurnRequest request = Ask("Who?");
  request.retrieval.enabled = true;
  auto model_sink = Start(request);
  model_sink->OnDelta(models::Delta("a@b.de swims [1: \"turtle swims\"] [9]. Not a@"));
  model_sink->OnDelta(models::Delta("b [1]"));
  const TurnResult& result = End(*model_sink);
  EXPECT_EQ(sink_->streamed, "[email] swims [1]. Not a@b [1]");
  ASSERT_EQ(result.citations.size(), 2u);  // the passage whole, and words of it
  EXPECT_EQ(result.citations[1].text, "turtle swims");
  EXPECT_EQ(result.dropped_citations, 1);
}

TEST_F(GuardedTurnTest, ReasoningAndArgumentsAreUnderTheRulesToo) {
  Use({kMaskMail});
  TurnRequest request = Ask("Who?");
  request.generate.tools.emplace_back();
  request.generate.tools.back().name = "send";
  auto model_sink = Start(request);
  models::Delta delta;
  delta.reasoning = "It is a@b.d";
  model_sink->OnDelta(delta);
  delta.reasoning = "e";
  model_sink->OnDelta(delta);
  model_sink->OnDelta(models::Delta("Well "));
  EXPECT_EQ(sink_->reasoned, "It is [email]");  // before the text
  for (const char* piece : {R"({"to":"a@)", R"(b.de"})"}) {
    const std::vector<models::ToolCallDelta> calls = {{0, "", "", piece}};
    models::Delta call;
    call.tool_calls = calls;
    model_sink->OnDelta(call);
    EXPECT_EQ(sink_->called, "");
  }
  const TurnResult& result = End(*model_sink);
  EXPECT_EQ(sink_->called, R"({"to":"[email]"})");
  EXPECT_EQ(result.answer.tool_calls.at(0).arguments, R"({"to":"[email]"})");
  EXPECT_EQ(result.answer.reasoning, "It is [email]");
  EXPECT_EQ(result.answer.text, "Well ");
}

TEST_F(GuardedTurnTest, ACallThatIsBlockedIsNotMade) {
  Use({kBlockKey});
  auto model_sink = Start(Ask("Who?"));
  const std::vector<models::ToolCallDelta> calls = {{0, "c1", "send", "{}"},
                                                    {1, "c2", "send", R"({"k":"sk-abcd"})"}};
  models::Delta call;
  call.tool_calls = calls;
  model_sink->OnDelta(call);
  const TurnResult& result = End(*model_sink);
  EXPECT_EQ(ReasonOf(result.status), Reason::CONTENT_BLOCKED);
  EXPECT_EQ(sink_->called, "");
  EXPECT_TRUE(result.answer.tool_calls.empty());
}

TEST_F(GuardedTurnTest, AnEscapeInArgumentsHidesNothing) {
  Use({kMaskMail, kBlockKey});
  for (const bool is_blocked : {false, true}) {
    sink_ = std::make_shared<Collected>();
    auto model_sink = Start(Ask("Who?"));
    const std::vector<models::ToolCallDelta> calls = {
        {0, "c1", "send",
         is_blocked ? R"({"k":"s\u006b-abcd"})" : R"({"to":"a\u0040b.de","x":"\u00e4"})"}};
    models::Delta call;
    call.tool_calls = calls;
    model_sink->OnDelta(call);
    const TurnResult& result = End(*model_sink);
    EXPECT_EQ(sink_->called, is_blocked ? "" : R"({"to":"[email]","x":"\u00e4"})");
    EXPECT_EQ(result.guardrails, is_blocked ? Names{"key:block"} : Names{"mail:mask"});
  }
}

TEST_F(GuardedTurnTest, LogprobsComeOnlyWithATextThatIsTheModels) {
  Use({kMaskMail});
  for (const bool is_masked : {false, true}) {
    sink_ = std::make_shared<Collected>();
    auto model_sink = Start(Ask("Who?"));
    models::Delta delta(is_masked ? "a@b.de" : "nobody");
    const std::vector<models::TokenLogprob> logprobs = {{std::string(delta.text), -0.5, {}, {}}};
    delta.logprobs = logprobs;
    model_sink->OnDelta(delta);
    EXPECT_EQ(End(*model_sink).answer.logprobs.size(), is_masked ? 0u : 1u);
  }
}

TEST_F(GuardedTurnTest, RulesThatOnlyFlagLeaveTheStreamAsItComes) {
  Use({RuleOf("mail", Rule::On::kOutput, Rule::Kind::kEmail, Rule::Action::kFlag)});
  auto model_sink = Start(Ask("Who?"));
  model_sink->OnDelta(models::Delta("a@b"));
  EXPECT_EQ(sink_->streamed, "a@b");
  const std::vector<models::ToolCallDelta> calls = {{0, "c1", "send", "a@b.de"}};
  models::Delta call;
  call.tool_calls = calls;
  model_sink->OnDelta(call);
  EXPECT_EQ(sink_->called, "a@b.de");
  EXPECT_EQ(End(*model_sink).guardrails, Names{"mail:flag"});
  EXPECT_EQ(sink_->called, "a@b.de");
}

TEST_F(GuardedTurnTest, AnAnswerThatFailsMidwayIsUnderTheRulesToItsEnd) {
  Use({kMaskMail});
  auto model_sink = Start(Ask("Who?"));
  model_sink->OnDelta(models::Delta("It is a@b.de"));
  const TurnResult& result = End(*model_sink, MakeError(Reason::UPSTREAM_TRUNCATED, "cut"));
  EXPECT_EQ(ReasonOf(result.status), Reason::UPSTREAM_TRUNCATED);
  EXPECT_EQ(sink_->streamed, "It is [email]");
}

}  // namespace
}  // namespace aibackend::chat
