#include "gateway/docs/openapi.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "gateway/docs/embedded.h"

namespace aibackend::gateway {
namespace {

using nlohmann::json;

class OpenApiTest : public testing::Test {
 protected:
  const RouteTable routes_ = *RouteTable::Build(ContractServices());
  const json document_ = json::parse(*MakeOpenApi(routes_, EmbeddedDescriptors()));
};

void CollectRefs(const json& node, std::set<std::string>& refs) {
  if (node.is_object() && node.contains("$ref")) refs.insert(node["$ref"].get<std::string>());
  for (const auto& child : node) {
    if (child.is_structured()) CollectRefs(child, refs);
  }
}

TEST_F(OpenApiTest, EveryRouteIsInIt) {
  EXPECT_EQ(document_["openapi"], "3.0.3");
  for (const auto& route : routes_.routes()) {
    const std::string method = absl::AsciiStrToLower(route->http_method);
    ASSERT_TRUE(document_["paths"].contains(route->path)) << route->path;
    ASSERT_TRUE(document_["paths"][route->path].contains(method)) << method << " " << route->path;
    const json& operation = document_["paths"][route->path][method];
    EXPECT_FALSE(operation["description"].get<std::string>().empty()) << route->path;
    EXPECT_TRUE(operation["responses"].contains(std::to_string(route->success_status)));
    EXPECT_TRUE(operation["responses"].contains("503")) << route->path;
    EXPECT_EQ(operation.contains("requestBody"), route->has_body);
    EXPECT_EQ(operation["tags"][0] == "aliases", route->is_alias);
  }
}

TEST_F(OpenApiTest, WhatIsForGrpcAloneIsNotInIt) {
  EXPECT_FALSE(absl::StrContains(document_.dump(), "UploadDocumentsRequest"));
}

TEST_F(OpenApiTest, EveryReferenceLeadsToASchema) {
  std::set<std::string> refs;
  CollectRefs(document_, refs);
  EXPECT_GT(refs.size(), 15u);
  for (const std::string& ref : refs) {
    const std::string prefix = "#/components/schemas/";
    ASSERT_TRUE(absl::StartsWith(ref, prefix)) << ref;
    EXPECT_TRUE(document_["components"]["schemas"].contains(ref.substr(prefix.size()))) << ref;
  }
}

TEST_F(OpenApiTest, OperationIdsAreUnique) {
  std::set<std::string> ids;
  size_t count = 0;
  for (const auto& path : document_["paths"]) {
    for (const auto& operation : path) {
      ids.insert(operation["operationId"].get<std::string>());
      ++count;
    }
  }
  EXPECT_EQ(ids.size(), count);
}

TEST_F(OpenApiTest, ParametersStandWhereTheyAreGiven) {
  const auto names = [](const json& operation, const std::string& in) {
    std::set<std::string> found;
    for (const auto& parameter : operation["parameters"]) {
      if (parameter["in"] == in) found.insert(parameter["name"].get<std::string>());
    }
    return found;
  };
  const json& generate = document_["paths"]["/generate"]["get"];
  EXPECT_EQ(names(generate, "query").count("retrieval.top_k"), 1u);
  EXPECT_EQ(names(generate, "query").count("messages"), 0u);
  const json& document = document_["paths"]["/v1/documents/{id}"]["get"];
  EXPECT_EQ(names(document, "path"), (std::set<std::string>{"id"}));
  EXPECT_EQ(names(document, "query"), (std::set<std::string>{"collection"}));
}

TEST_F(OpenApiTest, TypesAreAsJsonHasThem) {
  const json& schemas = document_["components"]["schemas"];
  EXPECT_EQ(schemas["ChatResponse"]["properties"]["cost_nano_usd"]["type"], "string");
  EXPECT_EQ(schemas["Document"]["properties"]["created_at"]["format"], "date-time");
  EXPECT_EQ(schemas["Document"]["properties"]["metadata"]["type"], "object");
  EXPECT_EQ(schemas["AddDocumentsResponse.Added"]["properties"]["status"]["enum"].size(), 5u);
  EXPECT_EQ(schemas["ChatRequest"]["properties"]["messages"]["items"]["$ref"],
            "#/components/schemas/Message");
  // A comment of the proto.
  EXPECT_TRUE(absl::StrContains(
      schemas["ChatRequest"]["properties"]["temperature"]["description"].get<std::string>(),
      "0 to 2"));
}

TEST_F(OpenApiTest, ErrorsAreThoseThatTheMethodNames) {
  const json& responses = document_["paths"]["/v1/retrieve"]["get"]["responses"];
  EXPECT_TRUE(
      absl::StrContains(responses["400"]["description"].get<std::string>(), "TOP_K_OUT_OF_RANGE"));
  const json& chat = document_["paths"]["/v1/chat"]["post"];
  EXPECT_TRUE(absl::StrContains(chat["responses"]["504"]["description"].get<std::string>(),
                                "UPSTREAM_TIMEOUT"));
  EXPECT_TRUE(chat["requestBody"]["content"]["application/json"].contains("example"));
}

TEST_F(OpenApiTest, WhatAMethodRefersToIsItsOwn) {
  const auto reasons = [this](const char* path, const char* status) {
    return document_["paths"][path]["post"]["responses"][status]["description"].get<std::string>();
  };
  for (const char* path : {"/v1/chat", "/v1/chat/stream"}) {
    EXPECT_TRUE(absl::StrContains(reasons(path, "429"), "QUOTA_EXCEEDED")) << path;
    EXPECT_TRUE(absl::StrContains(reasons(path, "403"), "PRICE_UNKNOWN")) << path;
    EXPECT_TRUE(absl::StrContains(reasons(path, "400"), "CONTENT_BLOCKED")) << path;
    EXPECT_TRUE(absl::StrContains(reasons(path, "404"), "MODEL_NOT_FOUND")) << path;
  }
}

TEST_F(OpenApiTest, AKeyGoesInEitherHeaderOrInNone) {
  const json& schemes = document_["components"]["securitySchemes"];
  EXPECT_EQ(schemes["bearer"]["type"], "http");
  EXPECT_EQ(schemes["bearer"]["scheme"], "bearer");
  EXPECT_EQ(schemes["api_key"]["in"], "header");
  EXPECT_EQ(schemes["api_key"]["name"], "x-api-key");
  EXPECT_EQ(document_["security"], json::parse(R"([{}, {"bearer": []}, {"api_key": []}])"));
  for (const char* path : {"/health", "/ready", "/metrics"})
    EXPECT_EQ(document_["paths"][path]["get"]["security"], json::array()) << path;
  for (const auto& route : routes_.routes()) {
    const std::string method = absl::AsciiStrToLower(route->http_method);
    const json& responses = document_["paths"][route->path][method]["responses"];
    EXPECT_EQ(responses["401"]["description"], "KEY_INVALID, KEY_REQUIRED") << route->path;
    EXPECT_TRUE(
        absl::StrContains(responses["403"]["description"].get<std::string>(), "SCOPE_MISSING"));
    EXPECT_TRUE(
        absl::StrContains(responses["429"]["description"].get<std::string>(), "RATE_LIMITED"));
  }
}

TEST(OpenApi, GarbageForDescriptorsIsRefused) {
  EXPECT_FALSE(MakeOpenApi(*RouteTable::Build(ContractServices()), "garbage").ok());
}

TEST_F(OpenApiTest, ADialectsPathsAreInItBesideTheContracts) {
  const json document = json::parse(*MakeOpenApi(routes_, EmbeddedDescriptors(),
                                                 {{"POST", "/v1/other/chat", "Another's chat"},
                                                  {"GET", "/v1/models", "And another's models"},
                                                  {"GET", "/v1/models/", "One model"}}));
  const json& chat = document["paths"]["/v1/other/chat"]["post"];
  EXPECT_EQ(chat["summary"], "Another's chat");
  EXPECT_EQ(chat["tags"], json::array({"dialects"}));
  EXPECT_EQ(chat["operationId"], "post_v1_other_chat");
  EXPECT_TRUE(chat["requestBody"]["content"].contains("application/json"));
  EXPECT_FALSE(chat.contains("parameters"));

  const json& models = document["paths"]["/v1/models"]["get"];
  EXPECT_EQ(models["operationId"], "ListModels");
  EXPECT_TRUE(absl::EndsWith(models["description"].get<std::string>(), "\n\nAnd another's models"));

  const json& model = document["paths"]["/v1/models/{id}"]["get"];
  EXPECT_EQ(model["parameters"][0]["name"], "id");
  EXPECT_EQ(model["parameters"][0]["in"], "path");
  EXPECT_FALSE(model.contains("requestBody"));
}

}  // namespace
}  // namespace aibackend::gateway
