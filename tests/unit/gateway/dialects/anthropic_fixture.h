// Requests to the Anthropic dialect, answered by a FakeBackend.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "gateway/dialects/dialect.h"
#include "tests/unit/gateway/transcode/call_fixture.h"

namespace aibackend::gateway {

class AnthropicTest : public CallTest {
 protected:
  // Hands the request on; the answer comes to exchange_.
  void Post(const std::string& path, std::string body) {
    exchange_->sent.method = "POST";
    exchange_->sent.body = std::move(body);
    for (const DialectRoute& route : dialect_->routes()) {
      if (route.path == path) route.handle({exchange_, "req_1", ""});
    }
  }
  FakeExchange::Answer Ask(const nlohmann::json& body) {
    Post("/v1/messages", body.dump());
    return exchange_->WaitForEnding();
  }
  // A whole answer of status 200.
  nlohmann::json Message(const v1::ChatResponse& response) {
    backend_.on_chat = [this, response](grpc::ServerContext*, const v1::ChatRequest& request,
                                        v1::ChatResponse* out) {
      seen_ = request;
      *out = response;
      return grpc::Status::OK;
    };
    const auto answer = Ask(Hello());
    EXPECT_EQ(answer.status, 200) << answer.body;
    return nlohmann::json::parse(answer.body);
  }
  static nlohmann::json Hello() {
    return {{"model", "m"},
            {"max_tokens", 64},
            {"messages", {{{"role", "user"}, {"content", "Hello"}}}}};
  }

  v1::ChatRequest seen_;  // by the backend; to be read after the answer
  std::unique_ptr<Dialect> dialect_ = MakeAnthropicDialect({table_, upstream_, options_});
};

}  // namespace aibackend::gateway
