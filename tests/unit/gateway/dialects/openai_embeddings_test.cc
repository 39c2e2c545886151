#include "absl/strings/escaping.h"
#include "tests/unit/gateway/dialects/openai_fixture.h"

namespace aibackend::gateway {
namespace {

class OpenAiEmbeddingsTest : public OpenAiTest {
 protected:
  OpenAiEmbeddingsTest() {
    backend_.on_embed = [this](const v1::EmbedRequest& request, v1::EmbedResponse* response) {
      asked_ = request;
      response->set_model("e-1");
      for (int i = 0; i < request.input_size(); ++i) {
        v1::Embedding& embedding = *response->add_embeddings();
        for (const float value : {1.0F, -0.1F, static_cast<float>(i)}) embedding.add_values(value);
      }
      response->mutable_usage()->set_prompt_tokens(4);
      response->mutable_usage()->set_total_tokens(4);
      return status_;
    };
  }
  v1::EmbedRequest asked_;
};

TEST_F(OpenAiEmbeddingsTest, TextsBecomeVectorsOfNumbers) {
  const Answer answer =
      Post("/v1/embeddings",
           R"({"model":"e","input":["a","b"],"dimensions":3,"user":"u","input_type":"query"})");
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(asked_.model(), "e");
  ASSERT_EQ(asked_.input_size(), 2);
  EXPECT_EQ(asked_.input(1), "b");
  EXPECT_EQ(asked_.dimensions(), 3);
  EXPECT_EQ(asked_.user(), "u");
  EXPECT_EQ(asked_.extra(), R"({"input_type":"query"})");
  EXPECT_EQ(answer.body,
            R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":[1,-0.1,0]},)"
            R"({"object":"embedding","index":1,"embedding":[1,-0.1,1]}],"model":"e-1",)"
            R"("usage":{"prompt_tokens":4,"total_tokens":4}})");
}

TEST_F(OpenAiEmbeddingsTest, Base64IsLittleEndianFloats) {
  const Answer answer =
      Post("/v1/embeddings", R"({"model":"e","input":"a","encoding_format":"base64"})");
  const Json body = Json::parse(answer.body);
  std::string bytes;
  ASSERT_TRUE(absl::Base64Unescape(body["data"][0]["embedding"].get<std::string>(), &bytes));
  EXPECT_EQ(absl::BytesToHexString(bytes), "0000803fcdccccbd00000000");
}

TEST_F(OpenAiEmbeddingsTest, WhatIsNoTextIsRefused) {
  const std::pair<const char*, const char*> bad[] = {
      {R"({"model":"e"})", "input"},
      {R"({"model":"e","input":7})", "input"},
      {R"({"model":"e","input":[1,2,3]})", "input[0]"},
      {R"({"model":"e","input":[[1,2],[3]]})", "input[0]"},
      {R"({"model":"e","input":"a","encoding_format":"hex"})", "encoding_format"},
      {R"({"model":"e","input":"a","dimensions":"3"})", "dimensions"},
  };
  for (const auto& [body, param] : bad) {
    const Answer answer = Post("/v1/embeddings", body);
    EXPECT_EQ(answer.status, 400) << body;
    EXPECT_EQ(ErrorOf(answer)["param"], param) << body;
  }
  EXPECT_EQ(ErrorOf(Post("/v1/embeddings", bad[2].first))["message"],
            "input[0]: must be a string: token arrays are not taken");
}

class OpenAiModelsTest : public OpenAiTest {
 protected:
  OpenAiModelsTest() {
    backend_.on_list_models = [this](v1::ListModelsResponse* response) {
      v1::Model& chat = *response->add_models();
      chat.set_id("org/big");
      chat.set_provider("openai");
      chat.set_kind("chat");
      chat.add_aliases("fast");
      v1::Model& embedding = *response->add_models();
      embedding.set_id("vec");
      embedding.set_kind("embedding");
      return status_;
    };
  }
};

TEST_F(OpenAiModelsTest, ModelsAndAliasesAreListedForAllThreeKindsOfCallers) {
  const Answer answer = Send("GET", "/v1/models", "");
  EXPECT_EQ(answer.status, 200);
  const Json body = Json::parse(answer.body);
  EXPECT_EQ(body["object"], "list");
  EXPECT_EQ(body["has_more"], false);
  EXPECT_EQ(body["first_id"], "org/big");
  EXPECT_EQ(body["last_id"], "vec");
  ASSERT_EQ(body["data"].size(), 3u);
  EXPECT_EQ(body["data"][1], Json::parse(R"({"id":"fast","object":"model","created":0,
      "owned_by":"openai","type":"model","display_name":"fast",
      "created_at":"1970-01-01T00:00:00Z","kind":"chat","aliases":["fast"]})"));
  ASSERT_EQ(body["models"].size(), 2u);
  EXPECT_EQ(body["models"][0]["provider"], "openai");
  EXPECT_EQ(body["models"][0]["is_default"], false);
}

TEST_F(OpenAiModelsTest, OneIsFoundByIdAliasOrWithDocuments) {
  for (const char* id : {"org/big", "fast", "vec", "docs/org/big", "docs/fast"}) {
    const Answer answer = Send("GET", "/v1/models/", "", id);
    EXPECT_EQ(answer.status, 200) << id;
    EXPECT_EQ(Json::parse(answer.body)["id"], id);
  }
}

TEST_F(OpenAiModelsTest, OneThatIsUnknownIs404WithTheKnownOnes) {
  for (const char* id : {"big", "docs/vec", "docs/"}) {
    const Answer answer = Send("GET", "/v1/models/", "", id);
    EXPECT_EQ(answer.status, 404) << id;
    const Json error = ErrorOf(answer);
    EXPECT_EQ(error["code"], "model_not_found");
    EXPECT_EQ(error["type"], "invalid_request_error");
    EXPECT_THAT(error["message"].get<std::string>(), testing::HasSubstr("org/big, fast, vec"));
  }
}

TEST_F(OpenAiModelsTest, AServerThatIsAwayIsAnErrorOfThisShape) {
  status_ = ErrorStatus(grpc::StatusCode::UNAVAILABLE, "DRAINING", "later", "", 1000);
  const Answer answer = Send("GET", "/v1/models", "");
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.Header("Retry-After"), "1");
  EXPECT_EQ(ErrorOf(answer)["type"], "server_error");
}

}  // namespace
}  // namespace aibackend::gateway
