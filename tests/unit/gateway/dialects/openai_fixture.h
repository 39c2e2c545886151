// The OpenAI dialect in front of a FakeBackend, called as the gateway's handler calls it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "gateway/dialects/dialect.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/util/message_differencer.h"
#include "tests/unit/gateway/fake_backend.h"
#include "tests/unit/gateway/fake_exchange.h"

namespace aibackend::gateway {

using Json = nlohmann::json;

class OpenAiTest : public testing::Test {
 protected:
  using Answer = FakeExchange::Answer;
  using Ending = FakeExchange::Ending;
  using Stream = FakeBackend::Stream;
  struct SseEvent {
    std::string name;
    std::string data;
  };

  OpenAiTest() {
    options_.now = [] { return absl::FromUnixSeconds(1'700'000'000); };
    backend_.on_chat = [this](grpc::ServerContext*, const v1::ChatRequest& request,
                              v1::ChatResponse* response) {
      seen_ = request;
      *response = response_;
      return status_;
    };
    backend_.on_stream = [this](grpc::ServerContext*, const v1::ChatRequest& request,
                                Stream* stream) {
      seen_ = request;
      for (const v1::ChatStreamEvent& event : events_) stream->Write(event);
      return status_;
    };
  }

  Answer Send(const std::string& method, const std::string& path, const std::string& body,
              const std::string& rest = {}) {
    auto exchange = std::make_shared<FakeExchange>();
    exchange->sent.method = method;
    exchange->sent.body = body;
    exchange->sent.headers = headers_;
    for (const DialectRoute& route : dialect_->routes()) {
      if (route.http_method == method && route.path == path)
        route.handle({exchange, "req_1", rest});
    }
    return exchange->WaitForEnding();
  }
  Answer Post(const std::string& path, const std::string& body) { return Send("POST", path, body); }

  // What the server will stream.
  void WillSend(const std::string& event) {
    events_.emplace_back();
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(event, &events_.back())) << event;
  }
  void WillAnswer(const std::string& response) {
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(response, &response_)) << response;
  }
  static v1::ChatRequest ChatOf(const std::string& text) {
    v1::ChatRequest request;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &request)) << text;
    return request;
  }

  static std::vector<SseEvent> EventsOf(const std::string& body) {
    std::vector<SseEvent> events;
    for (absl::string_view block : absl::StrSplit(body, "\n\n", absl::SkipEmpty())) {
      SseEvent event;
      for (absl::string_view line : absl::StrSplit(block, '\n')) {
        if (absl::ConsumePrefix(&line, "event: ")) event.name = std::string(line);
        if (absl::ConsumePrefix(&line, "data: ")) event.data = std::string(line);
      }
      if (!event.data.empty()) events.push_back(std::move(event));
    }
    return events;
  }
  static Json ErrorOf(const Answer& answer) { return Json::parse(answer.body)["error"]; }

  // The server's side: set before Send, `seen_` to be read after it.
  v1::ChatRequest seen_;
  v1::ChatResponse response_;
  std::vector<v1::ChatStreamEvent> events_;
  grpc::Status status_;

  httplib::Headers headers_;
  FakeBackend backend_;
  Upstream upstream_{{backend_.channel()}};
  const RouteTable table_ = *RouteTable::Build(ContractServices());
  CallOptions options_;
  const std::unique_ptr<Dialect> dialect_ = MakeOpenAiDialect({table_, upstream_, options_});
};

MATCHER_P(IsMessage, expected, "") {
  return google::protobuf::util::MessageDifferencer::Equals(arg, expected) ||
         (*result_listener << "differs: " << arg.DebugString(), false);
}

}  // namespace aibackend::gateway
