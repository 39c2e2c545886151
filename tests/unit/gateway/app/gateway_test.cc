// The whole gateway over real sockets, in front of a gRPC server in this process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "absl/strings/match.h"
#include "absl/synchronization/notification.h"
#include "gateway/app.h"
#include "httplib.h"
#include "proto/otlp/trace_context.h"
#include "tests/unit/gateway/fake_backend.h"
#include "tests/unit/proto/otlp/fake_collector.h"

namespace aibackend::gateway {
namespace {

using nlohmann::json;
using testing::HasSubstr;

Settings TestSettings(const std::string& server) {
  const char* flags[] = {"aibackend-gateway"};
  Settings settings = Load(1, flags)->settings;
  settings.listen = "127.0.0.1:0";
  settings.servers = {server};
  settings.heartbeat_interval_ms = 250;
  return settings;
}

class GatewayTest : public testing::Test {
 protected:
  FakeBackend backend_;
  std::unique_ptr<Gateway> gateway_ = *Gateway::Start(TestSettings(backend_.address()));
  httplib::Client client_{"127.0.0.1", gateway_->port()};
};

TEST_F(GatewayTest, AChatGoesThereAndBack) {
  backend_.on_chat = [](grpc::ServerContext*, const v1::ChatRequest& request,
                        v1::ChatResponse* response) {
    response->set_response("re: " + request.messages(0).content());
    return grpc::Status::OK;
  };
  const auto result =
      client_.Post("/v1/chat", {{"x-request-id", "mine"}},
                   R"({"messages":[{"role":"user","content":"hi"}]})", "application/json");
  ASSERT_TRUE(result);
  EXPECT_EQ(result->status, 200);
  EXPECT_EQ(result->get_header_value("x-request-id"), "mine");
  EXPECT_EQ(json::parse(result->body)["response"], "re: hi");
}

TEST_F(GatewayTest, AnErrorHasItsShapeAndTheRequestsId) {
  const auto result =
      client_.Post("/v1/chat", {{"x-request-id", "mine"}}, R"({"mesages":[]})", "application/json");
  ASSERT_TRUE(result);
  EXPECT_EQ(result->status, 400);
  const json error = json::parse(result->body)["error"];
  EXPECT_EQ(error["code"], "INVALID_ARGUMENT");
  EXPECT_EQ(error["reason"], "UNKNOWN_FIELD");
  EXPECT_EQ(error["field"], "mesages");
  EXPECT_EQ(error["request_id"], "mine");
}

TEST_F(GatewayTest, ABodyThatCurlCallsAFormIsReadAlsoWhenItIsLarge) {
  std::string prompt;
  backend_.on_chat = [&prompt](grpc::ServerContext*, const v1::ChatRequest& request,
                               v1::ChatResponse*) {
    prompt = request.prompt();
    return grpc::Status::OK;
  };
  const std::string body = "{\"prompt\":\"a&b=c%41+" + std::string(100'000, 'x') + "\"}";
  const auto result = client_.Post("/chat", body, "application/x-www-form-urlencoded");
  ASSERT_TRUE(result);
  EXPECT_EQ(result->status, 200) << result->body;
  EXPECT_EQ(prompt.substr(0, 9), "a&b=c%41+");
  EXPECT_EQ(prompt.size(), 100'009u);
}

TEST_F(GatewayTest, FilesAreUploaded) {
  v1::AddDocumentsRequest seen;
  backend_.on_add = [&seen](const v1::AddDocumentsRequest& request, v1::AddDocumentsResponse*) {
    seen = request;
    return grpc::Status::OK;
  };
  const auto result = client_.Post(
      "/ai/upload", httplib::MultipartFormDataItems{{"file", "text é", "a.txt", "text/plain"},
                                                    {"collection", "notes", "", ""}});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->status, 200) << result->body;
  ASSERT_EQ(seen.documents_size(), 1);
  EXPECT_EQ(seen.documents(0).content(), "text é");
  EXPECT_EQ(seen.documents(0).content_type(), "text/plain");
  EXPECT_EQ(seen.collection(), "notes");
}

TEST_F(GatewayTest, AStreamArrivesInEventsWithHeartbeatsBetween) {
  absl::Notification heard;
  backend_.on_stream = [&heard](grpc::ServerContext*, const v1::ChatRequest&,
                                FakeBackend::Stream* stream) {
    heard.WaitForNotificationWithTimeout(absl::Seconds(10));
    FakeBackend::SendDelta(stream, "Hello");
    FakeBackend::SendDone(stream);
    return grpc::Status::OK;
  };
  httplib::Request request;
  request.method = "POST";
  request.path = "/chat/stream";
  request.headers = {{"Content-Type", "application/json"}};
  request.body = R"({"prompt":"hi"})";
  std::string body;
  request.content_receiver = [&](const char* data, size_t size, uint64_t, uint64_t) {
    body.append(data, size);
    if (absl::StrContains(body, ": keep-alive\n\n") && !heard.HasBeenNotified()) heard.Notify();
    return true;
  };
  const auto result = client_.send(request);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->get_header_value("Content-Type"), "text/event-stream; charset=utf-8");
  EXPECT_TRUE(heard.HasBeenNotified());
  EXPECT_THAT(body, HasSubstr("id: 1\ndata: {\"delta\":\"Hello\"}\n\nevent: done\ndata: {"));
}

TEST_F(GatewayTest, PlainTextThatFailsIsNoCompleteAnswer) {
  backend_.on_stream = [](grpc::ServerContext*, const v1::ChatRequest&,
                          FakeBackend::Stream* stream) {
    FakeBackend::SendDelta(stream, "Hel");
    return ErrorStatus(grpc::StatusCode::UNAVAILABLE, "UPSTREAM_TRUNCATED", "cut");
  };
  const auto result = client_.Post("/chat/stream", {{"Accept", "text/plain"}}, R"({"prompt":"hi"})",
                                   "application/json");
  EXPECT_FALSE(result) << result->body;  // the connection broke
}

TEST_F(GatewayTest, AClientThatLeavesCancelsTheStreamAtOnce) {
  absl::Notification cancelled;
  backend_.on_stream = [&](grpc::ServerContext* context, const v1::ChatRequest&,
                           FakeBackend::Stream* stream) {
    FakeBackend::SendDelta(stream, "a");
    while (!context->IsCancelled()) std::this_thread::yield();
    cancelled.Notify();
    return grpc::Status::CANCELLED;
  };
  httplib::Request request;
  request.method = "POST";
  request.path = "/chat/stream";
  request.headers = {{"Content-Type", "application/json"}};
  request.body = R"({"prompt":"hi"})";
  request.content_receiver = [](const char*, size_t, uint64_t, uint64_t) { return false; };
  client_.send(request);
  const absl::Time left = absl::Now();
  ASSERT_TRUE(cancelled.WaitForNotificationWithTimeout(absl::Seconds(10)));
  EXPECT_LT(absl::Now() - left, absl::Seconds(1));
}

TEST_F(GatewayTest, MethodsAndPathsAreRefusedHelpfully) {
  const auto wrong = client_.Put("/v1/chat", "{}", "application/json");
  ASSERT_TRUE(wrong);
  EXPECT_EQ(wrong->status, 405);
  EXPECT_EQ(wrong->get_header_value("Allow"), "OPTIONS, POST");
  const auto options = client_.Options("/v1/documents");
  ASSERT_TRUE(options);
  EXPECT_EQ(options->status, 204);
  EXPECT_EQ(options->get_header_value("Allow"), "GET, HEAD, OPTIONS, POST");
  const auto unknown = client_.Get("/v1/modells");
  ASSERT_TRUE(unknown);
  EXPECT_EQ(unknown->status, 404);
  EXPECT_THAT(unknown->body, HasSubstr("GET /v1/models"));
  EXPECT_EQ(client_.Post("/health", "", "")->status, 405);
  const auto head = client_.Head("/health");
  ASSERT_TRUE(head);
  EXPECT_EQ(head->status, 200);
}

TEST_F(GatewayTest, HealthAndReadyTellApartTheGatewayAndTheServer) {
  EXPECT_EQ(client_.Get("/health")->body, R"({"status":"ok"})");
  const auto ready = client_.Get("/ready");
  EXPECT_EQ(ready->status, 200) << ready->body;
  backend_.SetServing(false);
  const auto not_ready = client_.Get("/ready");
  EXPECT_EQ(not_ready->status, 503);
  EXPECT_EQ(not_ready->get_header_value("Retry-After"), "1");
  EXPECT_THAT(not_ready->body, HasSubstr("NOT_READY"));
}

TEST(Gateway, AServerThatIsAwayIs503AtOnce) {
  const auto gateway = *Gateway::Start(TestSettings("127.0.0.1:1"));
  httplib::Client client("127.0.0.1", gateway->port());
  EXPECT_EQ(client.Get("/health")->status, 200);
  EXPECT_THAT(client.Get("/ready")->body, HasSubstr("SERVER_UNREACHABLE"));
  const auto chat = client.Post("/chat", R"({"prompt":"hi"})", "application/json");
  ASSERT_TRUE(chat);
  EXPECT_EQ(chat->status, 503);
  EXPECT_EQ(chat->get_header_value("Retry-After"), "1");
}

TEST(Gateway, AProxyOfTheEnvironmentIsNotAskedForTheServer) {
  FakeBackend backend;
  setenv("http_proxy", "http://127.0.0.1:1", 1);
  const auto gateway = *Gateway::Start(TestSettings(backend.address()));
  unsetenv("http_proxy");
  const auto ready = httplib::Client("127.0.0.1", gateway->port()).Get("/ready");
  ASSERT_TRUE(ready);
  EXPECT_EQ(ready->status, 200) << ready->body;
}

TEST_F(GatewayTest, APageOfAnotherSiteCannotCall) {
  int calls = 0;
  backend_.on_chat = [&calls](grpc::ServerContext*, const v1::ChatRequest&, v1::ChatResponse*) {
    ++calls;
    return grpc::Status::OK;
  };
  const std::string own = absl::StrCat("127.0.0.1:", gateway_->port());
  const auto post = [&](httplib::Headers headers) {
    return client_.Post("/chat", headers, R"({"prompt":"hi"})", "text/json; charset=utf-8")->status;
  };
  const auto get = [&](httplib::Headers headers) {
    return client_.Get("/generate?prompt=hi", headers)->status;
  };
  EXPECT_EQ(post({{"Origin", "https://elsewhere.test"}}), 403);
  EXPECT_EQ(post({{"Origin", "null"}}), 403);
  // What <img src> sends: a GET without an Origin, and this one costs tokens.
  EXPECT_EQ(get({{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "no-cors"}}), 403);
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(get({}), 200);
  EXPECT_EQ(get({{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "navigate"}}), 200);
  EXPECT_EQ(get({{"Sec-Fetch-Site", "same-origin"}, {"Sec-Fetch-Mode", "cors"}}), 200);
  EXPECT_EQ(post({{"Origin", "http://" + own}}), 415);
  EXPECT_EQ(post({{"Origin", "https://proxied.test"}, {"Sec-Fetch-Site", "same-origin"}}), 415);
}

TEST_F(GatewayTest, TheDocumentsAreServed) {
  const auto home = client_.Get("/");
  EXPECT_EQ(home->status, 302);
  EXPECT_EQ(home->get_header_value("Location"), "/docs");
  const auto page = client_.Get("/docs");
  EXPECT_EQ(page->status, 200);
  EXPECT_EQ(page->get_header_value("Content-Type"), "text/html; charset=utf-8");
  EXPECT_EQ(client_.Get("/docs/swagger-ui-bundle.js")->status, 200);
  EXPECT_TRUE(json::parse(client_.Get("/openapi.json")->body)["paths"].contains("/v1/chat"));
}

TEST_F(GatewayTest, ARequestIsASpanThatTheServersAreChildrenOf) {
  otlp::FakeCollector collector;
  Settings settings = TestSettings(backend_.address());
  settings.otlp_endpoint = collector.address();
  auto gateway = *Gateway::Start(settings);
  std::string forwarded;
  backend_.on_chat = [&](grpc::ServerContext* context, const v1::ChatRequest&, v1::ChatResponse*) {
    const auto found = context->client_metadata().find("traceparent");
    if (found != context->client_metadata().end())
      forwarded.assign(found->second.data(), found->second.size());
    return grpc::Status::OK;
  };
  httplib::Client client("127.0.0.1", gateway->port());
  const auto result = client.Post(
      "/v1/chat", {{"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}},
      R"({"prompt":"hi"})", "application/json");
  ASSERT_TRUE(result);
  EXPECT_EQ(result->status, 200);
  gateway.reset();  // which sends what is left
  const auto requests = collector.WaitForRequests(1);
  ASSERT_EQ(requests.size(), 1u);
  const auto& resource = requests[0].resource_spans(0).resource();
  EXPECT_EQ(resource.attributes(0).value().string_value(), "aibackend-gateway");
  const auto& span = requests[0].resource_spans(0).scope_spans(0).spans(0);
  EXPECT_EQ(span.name(), "POST /v1/chat");
  const auto parent = otlp::ParseTraceparent(forwarded);
  ASSERT_TRUE(parent) << forwarded;
  EXPECT_EQ(parent->TraceIdHex(), "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(span.span_id(), std::string(parent->span_id.begin(), parent->span_id.end()));
}

TEST_F(GatewayTest, MetricsCountByRouteAndNothingUnbounded) {
  client_.Get("/health");
  client_.Get("/some/unknown/path");
  client_.Get("/v1/jobs/a-secret-id");
  const std::string text = client_.Get("/metrics")->body;
  EXPECT_THAT(text, HasSubstr("aib_gateway_requests_total{method=\"GET\",route=\"/health\","
                              "status=\"2xx\"} 1"));
  EXPECT_THAT(text, HasSubstr("route=\"unmatched\",status=\"4xx\"} 1"));
  EXPECT_THAT(text, HasSubstr("aib_gateway_connections_open "));
  EXPECT_THAT(text, HasSubstr("route=\"/v1/jobs/{job_id}\",status=\"5xx\"} 1"));  // UNIMPLEMENTED
  EXPECT_FALSE(absl::StrContains(text, "a-secret-id"));
}

TEST_F(GatewayTest, ADrainLetsWhatRunsFinish) {
  absl::Notification running;
  absl::Notification go_on;
  backend_.on_chat = [&](grpc::ServerContext*, const v1::ChatRequest&, v1::ChatResponse* response) {
    running.Notify();
    go_on.WaitForNotificationWithTimeout(absl::Seconds(10));
    response->set_response("late");
    return grpc::Status::OK;
  };
  std::string body;
  std::thread caller([&] {
    const auto result = client_.Post("/chat", R"({"prompt":"hi"})", "application/json");
    if (result) body = result->body;
  });
  running.WaitForNotification();
  std::thread drain([&] { gateway_->Drain(); });
  go_on.Notify();
  drain.join();
  caller.join();
  EXPECT_THAT(body, HasSubstr("late"));
}

TEST_F(GatewayTest, StoppingCancelsWhatStillRuns) {
  absl::Notification running;
  absl::Notification cancelled;
  backend_.on_chat = [&](grpc::ServerContext* context, const v1::ChatRequest&, v1::ChatResponse*) {
    running.Notify();
    while (!context->IsCancelled()) std::this_thread::yield();
    cancelled.Notify();
    return grpc::Status::CANCELLED;
  };
  std::thread caller(
      [&] { EXPECT_FALSE(client_.Post("/chat", R"({"prompt":"hi"})", "application/json")); });
  running.WaitForNotification();
  gateway_.reset();
  EXPECT_TRUE(cancelled.WaitForNotificationWithTimeout(absl::Seconds(10)));
  caller.join();
}

TEST(Gateway, AnAddressThatIsTakenIsAnError) {
  FakeBackend backend;
  const auto first = *Gateway::Start(TestSettings(backend.address()));
  Settings settings = TestSettings(backend.address());
  settings.listen = absl::StrCat("127.0.0.1:", first->port());
  EXPECT_FALSE(Gateway::Start(settings).ok());
  settings = TestSettings("no address");
  EXPECT_THAT(std::string(Gateway::Start(settings).status().message()), HasSubstr("no address"));
}

TEST_F(GatewayTest, WhatTheGatewayRefusesOnADialectsPathsHasThatDialectsShape) {
  const auto method = client_.Get("/v1/messages");
  ASSERT_TRUE(method);
  EXPECT_EQ(method->status, 405);
  EXPECT_EQ(method->get_header_value("Allow"), "OPTIONS, POST");
  EXPECT_EQ(json::parse(method->body)["type"], "error");
  const auto below = client_.Post("/v1/messages/batches", "{}", "application/json");
  ASSERT_TRUE(below);
  EXPECT_EQ(below->status, 404);
  EXPECT_EQ(json::parse(below->body)["error"]["type"], "not_found_error");
  const auto stored = client_.Get("/v1/responses/resp_1");
  ASSERT_TRUE(stored);
  EXPECT_EQ(stored->status, 404);
  EXPECT_EQ(json::parse(stored->body)["error"]["code"], "route_not_found");
  const auto beside = client_.Get("/v1/messagesandmore");
  ASSERT_TRUE(beside);
  EXPECT_EQ(json::parse(beside->body)["error"]["reason"], "ROUTE_NOT_FOUND");
}

TEST_F(GatewayTest, ADialectsGetAnswersHeadAndTheReferencePageHasItsPaths) {
  const auto head = client_.Head("/v1/models");
  ASSERT_TRUE(head);
  EXPECT_EQ(head->status, 200);
  EXPECT_EQ(head->body, "");
  const auto wrong = client_.Put("/v1/models");
  ASSERT_TRUE(wrong);
  EXPECT_EQ(wrong->status, 405);
  EXPECT_EQ(wrong->get_header_value("Allow"), "GET, HEAD, OPTIONS");
  const auto openapi = client_.Get("/openapi.json");
  ASSERT_TRUE(openapi);
  const json paths = json::parse(openapi->body)["paths"];
  EXPECT_TRUE(paths["/v1/chat/completions"].contains("post"));
  EXPECT_TRUE(paths["/v1/models/{id}"].contains("get"));
}

}  // namespace
}  // namespace aibackend::gateway
