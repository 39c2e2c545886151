// What the tests of the adapters share: a sink that remembers, one model against one script, and
// ways to answer.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

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

 private:
  absl::Mutex mutex_;
  std::string text_ ABSL_GUARDED_BY(mutex_);
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
  nlohmann::json SentBody() const {
    const std::string sent = server.requests().at(0);
    return nlohmann::json::parse(sent.substr(sent.find("\r\n\r\n") + 4));
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
