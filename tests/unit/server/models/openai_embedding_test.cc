#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "server/base/status.h"
#include "server/models/openai_embedding_model.h"
#include "server/models/openai_embedding_wire.h"
#include "tests/unit/server/models/upstream_fixture.h"

namespace aibackend::models {
namespace {

using ::aibackend::testing::Connection;
using ::aibackend::testing::HttpResponse;
using ::aibackend::testing::ScriptedServer;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

// One model against one script.
class Fixture {
 public:
  explicit Fixture(ScriptedServer::Script script) : server(std::move(script)) {
    options.id = "vec";
    options.base_url = server.url("/v1/");
    options.api_key = kKey;
    options.upstream_model = "upstream-vec";
    request.inputs = {"12345678", "1234"};
  }
  std::shared_ptr<Generation> Start() {
    model = std::make_unique<OpenAiEmbeddingModel>(http, options);
    return model->Embed(request, [this](EmbedResult end) {
      EXPECT_FALSE(done.HasBeenNotified());
      result = std::move(end);
      done.Notify();
    });
  }
  EmbedResult Wait() {
    EXPECT_TRUE(done.WaitForNotificationWithTimeout(kPatience));
    return result;
  }
  EmbedResult Run() {
    const auto call = Start();
    return Wait();
  }

  ScriptedServer server;
  EmbedResult result;
  absl::Notification done;
  OpenAiEmbeddingModel::Options options;
  EmbedRequest request;
  std::unique_ptr<OpenAiEmbeddingModel> model;
  net::HttpClient http{net::HttpClient::Options()};
};

std::string Row(int index, const std::string& embedding) {
  return absl::StrCat(R"({"object":"embedding","index":)", index, R"(,"embedding":)", embedding,
                      "}");
}

std::string Answer(const std::string& rows, const std::string& usage = R"({"prompt_tokens":7})") {
  return absl::StrCat(R"({"object":"list","data":[)", rows, R"(],"usage":)", usage, "}");
}

std::string Base64(const std::vector<float>& numbers) {
  std::string bytes(numbers.size() * sizeof(float), '\0');
  std::memcpy(&bytes[0], numbers.data(), bytes.size());
  return absl::StrCat("\"", absl::Base64Escape(bytes), "\"");
}

EmbedResult ResultOf(ScriptedServer::Script script) {
  Fixture fixture(std::move(script));
  EmbedResult result = fixture.Run();
  EXPECT_EQ(result.upstream_calls, 1);
  EXPECT_THAT(std::string(result.status.message()), Not(HasSubstr(kKey)));
  if (!result.status.ok()) {
    EXPECT_THAT(result.vectors, IsEmpty());
    EXPECT_THAT(std::string(result.status.message()), HasSubstr(fixture.server.origin()));
  }
  return result;
}

EmbedResult ResultOfBody(const std::string& body) {
  return ResultOf(Sending(HttpResponse(200, body)));
}

TEST(EmbeddingsBody, CarriesWhatWasAskedForAndExtraUntouched) {
  EmbedRequest request;
  request.inputs = {"a", "b\xFF"};
  EXPECT_EQ(EmbeddingsBody(request, "m"),
            "{\"model\":\"m\",\"input\":[\"a\",\"b\xEF\xBF\xBD\"],\"encoding_format\":\"float\"}");
  request.inputs = {"a"};
  request.dimensions = 256;
  request.user = "u";
  request.extra = R"({"z":1.0,"model":"x","input":7,"encoding_format":"base64","e":1e400})";
  EXPECT_EQ(EmbeddingsBody(request, "m"),
            R"({"model":"m","input":["a"],"dimensions":256,"user":"u",)"
            R"("z":1.0,"encoding_format":"base64","e":1e400})");
}

TEST(OpenAiEmbeddingModel, VectorsComeInTheOrderOfTheInputsWithTheirUsage) {
  Fixture fixture(
      Sending(HttpResponse(200, Answer(Row(1, "[-1e-3,2]") + "," + Row(0, "[0.5,-0.25]")))));
  const EmbedResult result = fixture.Run();
  EXPECT_EQ(result.status, absl::OkStatus());
  EXPECT_THAT(result.vectors, ElementsAre(ElementsAre(0.5f, -0.25f), ElementsAre(-1e-3f, 2.0f)));
  EXPECT_EQ(result.usage.prompt_tokens, 7);
  EXPECT_FALSE(result.usage.estimated);
  EXPECT_EQ(result.upstream_calls, 1);
  const std::string sent = fixture.server.requests().at(0);
  EXPECT_THAT(sent, StartsWith("POST /v1/embeddings HTTP/1.1\r\n"));
  EXPECT_THAT(sent, HasSubstr("\r\nAuthorization: Bearer sk-sesame\r\n"));
  EXPECT_THAT(sent, EndsWith(EmbeddingsBody(fixture.request, "upstream-vec")));
}

TEST(OpenAiEmbeddingModel, Base64IsUnderstoodToo) {
  EXPECT_THAT(ResultOfBody(Answer(Row(0, Base64({0.5f, 3.0f})) + "," + Row(1, "[1,2]"))).vectors,
              ElementsAre(ElementsAre(0.5f, 3.0f), ElementsAre(1.0f, 2.0f)));
}

TEST(OpenAiEmbeddingModel, WithoutIndexesTheOrderCounts) {
  EXPECT_THAT(ResultOfBody(Answer(R"({"embedding":[1]},{"embedding":[2],"index":null})")).vectors,
              ElementsAre(ElementsAre(1.0f), ElementsAre(2.0f)));
}

TEST(OpenAiEmbeddingModel, UsageThatIsNotReportedIsEstimated) {
  for (const char* usage : {"null", "{}", R"({"prompt_tokens":-1})", R"({"prompt_tokens":"7"})"}) {
    const EmbedResult result = ResultOfBody(Answer(Row(0, "[1]") + "," + Row(1, "[1]"), usage));
    EXPECT_EQ(result.status, absl::OkStatus());
    EXPECT_EQ(result.usage.prompt_tokens, 3) << usage;
    EXPECT_TRUE(result.usage.estimated);
  }
}

TEST(OpenAiEmbeddingModel, WhatIsNotOneVectorForEachInputIsABadResponse) {
  const std::string first = Row(0, "[1,2]") + ",";
  for (const std::string& body :
       {std::string("{}"),
        std::string("<html>"),
        std::string("{\"data\":["),
        std::string(),
        std::string(R"({"data":7})"),
        Answer(""),
        Answer(Row(0, "[1]")),
        Answer(first + "7"),
        Answer(first + Row(1, "[1,2]") + "," + Row(2, "[1,2]")),
        Answer(first + Row(0, "[1,2]")),
        Answer(first + Row(1000000000, "[1,2]")),
        Answer(first + Row(-1, "[1,2]")),
        Answer(first + R"({"index":"1","embedding":[1,2]})"),
        Answer(first + Row(1, "[1]")),
        Answer(first + Row(1, "[1,2,3]")),
        Answer(first + Row(1, "[]")),
        Answer(first + Row(1, "[1,null]")),
        Answer(first + Row(1, "[1,\"2\"]")),
        Answer(first + Row(1, "[1,1e300]")),
        Answer(first + Row(1, "\"AAA*\"")),
        Answer(first + Row(1, "\"AAAA\"")),
        Answer(first + Row(1, "{}")),
        Answer(first + Row(1, Base64({1.0f, std::numeric_limits<float>::quiet_NaN()})))}) {
    EXPECT_EQ(ReasonOf(ResultOfBody(body).status), Reason::UPSTREAM_BAD_RESPONSE) << body;
  }
}

TEST(OpenAiEmbeddingModel, DimensionsThatWereNotAskedForAreABadResponse) {
  Fixture fixture(Sending(HttpResponse(200, Answer(Row(0, "[1,2]") + "," + Row(1, "[1,2]")))));
  fixture.request.dimensions = 3;
  const EmbedResult result = fixture.Run();
  EXPECT_EQ(ReasonOf(result.status), Reason::UPSTREAM_BAD_RESPONSE);
  EXPECT_EQ(result.usage.prompt_tokens, 7) << "the upstream has done its work";
}

TEST(OpenAiEmbeddingModel, ErrorsAreThoseOfEveryUpstream) {
  const std::vector<std::pair<int, Reason::Reason>> table = {
      {400, Reason::UPSTREAM_REJECTED_REQUEST},
      {401, Reason::UPSTREAM_REFUSED_CREDENTIALS},
      {429, Reason::UPSTREAM_RATE_LIMITED},
      {503, Reason::UPSTREAM_UNAVAILABLE}};
  for (const auto& [status, reason] : table) {
    const EmbedResult result =
        ResultOf(Sending(HttpResponse(status, R"({"error":{"message":"no sk-sesame"}})",
                                      "Retry-After: 3\r\nContent-Type: application/json\r\n")));
    EXPECT_EQ(ReasonOf(result.status), reason) << status;
    EXPECT_EQ(RetryAfterOf(result.status).has_value(), MappingOf(reason).retryable());
    EXPECT_EQ(result.usage.prompt_tokens, 0);
  }
  EXPECT_EQ(ReasonOf(ResultOf(Sending(HttpResponse(500, std::string(1 << 20, 'x')))).status),
            Reason::UPSTREAM_UNAVAILABLE);
  EXPECT_EQ(ReasonOf(ResultOfBody(R"({"error":{"message":"m","code":503}})").status),
            Reason::UPSTREAM_UNAVAILABLE);
  EXPECT_EQ(ReasonOf(ResultOf(Sending("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")).status),
            Reason::UPSTREAM_TRUNCATED);
  EXPECT_EQ(ReasonOf(ResultOf([](Connection& connection) {
                       connection.ReadRequest();
                       connection.Reset();
                     }).status),
            Reason::UPSTREAM_UNAVAILABLE);
}

TEST(OpenAiEmbeddingModel, AnAnswerThatIsLargerThanVectorsCanBeIsRefused) {
  EXPECT_EQ(ReasonOf(ResultOfBody(std::string(size_t{400} * 1024, ' ')).status),
            Reason::UPSTREAM_BAD_RESPONSE);
}

TEST(OpenAiEmbeddingModel, CancelReachesTheUpstream) {
  absl::Notification asked;
  absl::Notification closed;
  Fixture fixture([&](Connection& connection) {
    connection.ReadRequest();
    asked.Notify();
    if (connection.SeesEof()) closed.Notify();
  });
  const auto call = fixture.Start();
  asked.WaitForNotification();
  call->Cancel();
  call->Cancel();
  const EmbedResult result = fixture.Wait();
  EXPECT_EQ(ReasonOf(result.status), Reason::CANCELLED);
  EXPECT_EQ(result.usage.prompt_tokens, 3);
  EXPECT_EQ(result.upstream_calls, 1);
  EXPECT_TRUE(closed.WaitForNotificationWithTimeout(kPatience));
}

TEST(OpenAiEmbeddingModel, InfoNamesTheUpstreamButNotTheKey) {
  Fixture fixture(Sending(""));
  fixture.Run();
  EXPECT_EQ(fixture.model->info().id, "vec");
  EXPECT_EQ(fixture.model->info().provider, "openai");
  EXPECT_EQ(fixture.model->info().description, "upstream-vec at " + fixture.server.origin());
}

}  // namespace
}  // namespace aibackend::models
