// What the tests of the adapters share: a sink that remembers, one model against one script, and
// ways to answer.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "server/models/language_model.h"
#include "server/net/http_client.h"
#include "tests/unit/server/net/scripted_server.h"

namespace aibackend::models {

inline constexpr absl::Duration kPatience =
    absl::Seconds(60);  // never reached by a test that passes
inline constexpr char kKey[] = "sk-sesame";

class RecordingSink : public GenerateSink {
 public:
  void OnDelta(const Delta& delta) override {
    absl::MutexLock lock(&mutex_);
    EXPECT_EQ(done_calls_, 0) << "a delta after the end";
    text_.append(delta.text.data(), delta.text.size());
    reasoning_.append(delta.reasoning.data(), delta.reasoning.size());
    logprobs_.insert(logprobs_.end(), delta.logprobs.begin(), delta.logprobs.end());
    for (const ToolCallDelta& piece : delta.tool_calls) TakeCall(piece);
    kinds_ += absl::StrCat(kinds_.empty() ? "" : " ", delta.reasoning.empty() ? "" : "r",
                           delta.text.empty() ? "" : "t", delta.logprobs.empty() ? "" : "p",
                           delta.tool_calls.empty() ? "" : "c");
    ++deltas_;
  }
  void OnDone(GenerateResult result) override {
    absl::MutexLock lock(&mutex_);
    result_ = std::move(result);
    ++done_calls_;
  }
  GenerateResult WaitDone() {
    absl::MutexLock lock(&mutex_);
    const auto done = [&] { return done_calls_ > 0; };
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&done), kPatience)) << "no OnDone";
    EXPECT_EQ(done_calls_, 1);
    return result_;
  }
  void WaitText(absl::string_view text) {
    absl::MutexLock lock(&mutex_);
    const auto has = [&] { return absl::StrContains(text_, text); };
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&has), kPatience)) << "no " << text;
  }
  std::string text() {
    absl::MutexLock lock(&mutex_);
    return text_;
  }
  int deltas() {
    absl::MutexLock lock(&mutex_);
    return deltas_;
  }
  std::string reasoning() {
    absl::MutexLock lock(&mutex_);
    return reasoning_;
  }
  // "id name arguments" of each.
  std::vector<std::string> calls() {
    absl::MutexLock lock(&mutex_);
    std::vector<std::string> lines;
    for (const ToolCall& call : calls_) {
      lines.push_back(absl::StrCat(call.id, " ", call.name, " ", call.arguments));
    }
    return lines;
  }
  std::vector<TokenLogprob> logprobs() {
    absl::MutexLock lock(&mutex_);
    return logprobs_;
  }
  // What the deltas held, one word each: r(easoning), t(ext), (log)p(robs), c(alls).
  std::string kinds() {
    absl::MutexLock lock(&mutex_);
    return kinds_;
  }

 private:
  void TakeCall(const ToolCallDelta& piece) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ASSERT_GE(piece.index, 0);
    ASSERT_LE(static_cast<size_t>(piece.index), calls_.size()) << "a gap";
    if (static_cast<size_t>(piece.index) == calls_.size()) {
      EXPECT_NE(piece.id, "");
      EXPECT_NE(piece.name, "");
      calls_.push_back({piece.id, piece.name, piece.arguments});
    } else {
      EXPECT_EQ(piece.id, "");
      EXPECT_EQ(piece.name, "");
      EXPECT_NE(piece.arguments, "");
      calls_[static_cast<size_t>(piece.index)].arguments += piece.arguments;
    }
  }

  absl::Mutex mutex_;
  std::string text_ ABSL_GUARDED_BY(mutex_);
  std::string reasoning_ ABSL_GUARDED_BY(mutex_);
  std::vector<ToolCall> calls_ ABSL_GUARDED_BY(mutex_);
  std::vector<TokenLogprob> logprobs_ ABSL_GUARDED_BY(mutex_);
  std::string kinds_ ABSL_GUARDED_BY(mutex_);
  GenerateResult result_ ABSL_GUARDED_BY(mutex_);
  int deltas_ ABSL_GUARDED_BY(mutex_) = 0;
  int done_calls_ ABSL_GUARDED_BY(mutex_) = 0;
};

// One model against one script.
template <typename Model>
class ModelFixture {
 public:
  explicit ModelFixture(testing::ScriptedServer::Script script) : server(std::move(script)) {
    options.id = "small";
    options.base_url = server.url("/v1/");
    options.api_key = kKey;
    options.upstream_model = "upstream-small";
    request.messages = {{Role::kUser, "How are you today?"}};  // 18 bytes: 5 tokens
    request.stream = true;
  }

  std::shared_ptr<Generation> Start() {
    model = std::make_unique<Model>(http, options);
    return model->Generate(request, sink);
  }
  GenerateResult Run() {
    Start();
    return sink->WaitDone();
  }
  nlohmann::json SentBody() const { return nlohmann::json::parse(SentText()); }
  std::string SentText() const {
    const std::string sent = server.requests().at(0);
    return sent.substr(sent.find("\r\n\r\n") + 4);
  }

  testing::ScriptedServer server;
  net::HttpClient http{net::HttpClient::Options()};
  typename Model::Options options;
  GenerateRequest request;
  std::unique_ptr<Model> model;
  std::shared_ptr<RecordingSink> sink = std::make_shared<RecordingSink>();
};

// Answers with a whole chunked stream of these events.
inline testing::ScriptedServer::Script Streaming(std::string events) {
  return [events = std::move(events)](testing::Connection& connection) {
    connection.ReadRequest();
    connection.Send(testing::ChunkedHeader("text/event-stream; charset=utf-8"));
    connection.Send(testing::Chunk(events));
    connection.Send(testing::kLastChunk);
  };
}

inline testing::ScriptedServer::Script Sending(std::string bytes) {
  return [bytes = std::move(bytes)](testing::Connection& connection) {
    connection.ReadRequest();
    connection.Send(bytes);
  };
}

// Answers each request with these events in two chunks, cut after max_tokens bytes: the test says
// where.
inline testing::ScriptedServer::Script StreamingInTwo(std::string events) {
  return [events = std::move(events)](testing::Connection& connection) {
    for (;;) {
      const std::string request = connection.ReadRequest();
      if (request.empty()) return;
      const auto body = nlohmann::json::parse(request.substr(request.find("\r\n\r\n") + 4));
      const size_t cut = body["max_tokens"].get<size_t>();
      connection.Send(testing::ChunkedHeader("text/event-stream") +
                      testing::Chunk(events.substr(0, cut)));
      connection.Send(testing::Chunk(events.substr(cut)) + std::string(testing::kLastChunk));
    }
  };
}

inline Tool WeatherTool() {
  Tool tool;
  tool.name = "weather";
  tool.description = "of a city";
  tool.parameters = R"({"type":"object","properties":{"city":{"type":"string"}}})";
  return tool;
}

inline Grounding TwoPassages(bool strict) {
  Grounding grounding;
  grounding.strict = strict;
  Passage passage;
  passage.document_id = "a";
  passage.text = "Alpha is first.";
  passage.start = 10;
  grounding.passages.push_back(passage);
  passage.document_id = "b";
  passage.text = "Beta is second.";
  grounding.passages.push_back(passage);
  return grounding;
}

// How the script's answer ends, having checked that no message holds the key and each the origin.
template <typename Fixture>
GenerateResult ResultOfScript(testing::ScriptedServer::Script script, bool stream) {
  Fixture fixture(std::move(script));
  fixture.request.stream = stream;
  const GenerateResult result = fixture.Run();
  EXPECT_THAT(std::string(result.status.message()), ::testing::Not(::testing::HasSubstr(kKey)));
  if (!result.status.ok()) {
    EXPECT_THAT(std::string(result.status.message()),
                ::testing::HasSubstr(fixture.server.origin()));
  }
  return result;
}

}  // namespace aibackend::models
