#include "gateway/transcode/route_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "google/api/annotations.pb.h"
#include "google/protobuf/descriptor.pb.h"

namespace aibackend::gateway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

RouteTable Contract() {
  auto table = RouteTable::Build(ContractServices());
  EXPECT_TRUE(table.ok()) << table.status();
  return *std::move(table);
}

std::string Listing(const RouteTable& table) {
  std::string text;
  for (const auto& route : table.routes())
    absl::StrAppend(&text, route->http_method, " ", route->path, " ", route->grpc_method, " ",
                    route->success_status, route->has_body ? " body" : "",
                    route->files_field ? " files" : "", route->is_alias ? " alias" : "",
                    route->method->server_streaming() ? " stream" : "", "\n");
  return text;
}

TEST(RouteTable, TheRoutesAreThoseOfTheGolden) {
  const std::string path = AIB_SOURCE_DIR "/tests/golden/routes.txt";
  const std::string listing = Listing(Contract());
  if (std::getenv("AIB_UPDATE_GOLDEN")) std::ofstream(path) << listing;
  std::ifstream in(path);
  std::stringstream golden;
  golden << in.rdbuf();
  EXPECT_EQ(golden.str(), listing)
      << "if that is meant: AIB_UPDATE_GOLDEN=1 build/dev/bin/tests/gateway_route_table_test";
}

TEST(RouteTable, EveryPathOfTheGoldenIsFound) {
  const RouteTable table = Contract();
  for (const auto& route : table.routes()) {
    std::string path = route->path;
    if (const size_t open = path.find('{'); open != std::string::npos)
      path.replace(open, path.find('}') - open + 1, "some%20id");
    const auto found = table.Find(route->http_method, path);
    EXPECT_EQ(found.route, route.get()) << route->http_method << " " << path;
    EXPECT_EQ(found.segments.size(), route->variables.size());
  }
}

TEST(RouteTable, AVariableIsOneRawSegment) {
  const RouteTable table = Contract();
  EXPECT_THAT(table.Find("GET", "/v1/jobs/a%2Fb").segments, ElementsAre("a%2Fb"));
  EXPECT_EQ(table.Find("GET", "/v1/jobs/a/b").route, nullptr);
  EXPECT_EQ(table.Find("GET", "/v1/jobs/").route, nullptr);
  EXPECT_EQ(table.Find("POST", "/datasets//process").route, nullptr);
}

TEST(RouteTable, AWrongMethodIsToldTheRightOnes) {
  const RouteTable table = Contract();
  EXPECT_THAT(table.Find("PUT", "/v1/chat").allow, ElementsAre("OPTIONS", "POST"));
  EXPECT_THAT(table.Find("PATCH", "/v1/documents").allow,
              ElementsAre("GET", "HEAD", "OPTIONS", "POST"));
  EXPECT_THAT(table.Find("OPTIONS", "/v1/documents/x").allow,
              ElementsAre("DELETE", "GET", "HEAD", "OPTIONS"));
}

TEST(RouteTable, HeadFindsWhatGetDoes) {
  const RouteTable table = Contract();
  EXPECT_EQ(table.Find("HEAD", "/v1/models").route, table.Find("GET", "/v1/models").route);
  EXPECT_EQ(table.Find("HEAD", "/v1/chat").route, nullptr);
}

TEST(RouteTable, AnUnknownPathHasNoMethods) {
  const RouteTable table = Contract();
  for (const char* path : {"/", "", "nothing", "/v1", "/v1/chat/", "//v1/chat", "/v2/chat", "*"}) {
    const auto found = table.Find("GET", path);
    EXPECT_EQ(found.route, nullptr) << path;
    EXPECT_THAT(found.allow, IsEmpty()) << path;
  }
}

TEST(RouteTable, AMisspelledPathIsToldTheNearest) {
  const RouteTable table = Contract();
  EXPECT_EQ(table.Nearest("/v1/chats"), "POST /v1/chat");
  EXPECT_EQ(table.Nearest("/v1/retreive"), "GET /v1/retrieve");
  EXPECT_EQ(table.Nearest("/wp-admin/setup.php"), "");
  EXPECT_EQ(table.Nearest(std::string(10'000, 'a')), "");
}

TEST(RouteTable, AMethodWithoutAPathSuchAsAClientStreamHasNoRoute) {
  const RouteTable table = Contract();
  const auto& routes = table.routes();
  EXPECT_TRUE(std::none_of(routes.begin(), routes.end(), [](const auto& route) {
    return route->method->client_streaming() || route->method->name() == "UploadDocuments";
  }));
}

TEST(RouteTable, AnEmptyTableIsRefused) {
  EXPECT_THAT(RouteTable::Build({}).status().message().data(), HasSubstr("no route"));
}

// A table of one method with this annotation.
absl::Status BuildWith(const google::api::HttpRule& rule) {
  google::protobuf::FileDescriptorProto file;
  file.set_name("some.proto");
  file.set_package("some");
  auto* request = file.add_message_type();
  request->set_name("Request");
  auto* field = request->add_field();
  field->set_name("id");
  field->set_number(1);
  field->set_type(google::protobuf::FieldDescriptorProto::TYPE_STRING);
  auto* method = file.add_service();
  method->set_name("Service");
  auto* get = method->add_method();
  get->set_name("Get");
  get->set_input_type("Request");
  get->set_output_type("Request");
  get->mutable_options()->MutableExtension(google::api::http)->CopyFrom(rule);
  google::protobuf::DescriptorPool pool;
  const auto* built = pool.BuildFile(file);
  return RouteTable::Build({built->service(0)}).status();
}

TEST(RouteTable, AnAnnotationThatIsNotUnderstoodIsRefusedByName) {
  google::api::HttpRule rule;
  rule.set_get("/v1/{id}");
  EXPECT_TRUE(BuildWith(rule).ok());
  for (const char* path : {"/v1/{id=things/*}", "/v1/{nothing}", "/v1/*", "v1", ""}) {
    rule.set_get(path);
    EXPECT_THAT(std::string(BuildWith(rule).message()), HasSubstr("some.Service.Get")) << path;
  }
  rule.set_post("/v1/{id}");
  rule.set_body("id");
  EXPECT_THAT(std::string(BuildWith(rule).message()), HasSubstr("body"));
}

TEST(RouteTable, TwoRoutesOfOneShapeAreRefused) {
  google::api::HttpRule rule;
  rule.set_get("/v1/{id}");
  rule.add_additional_bindings()->set_get("/v1/{id}");
  EXPECT_THAT(std::string(BuildWith(rule).message()), HasSubstr("GET /v1/{id} is taken"));
}

}  // namespace
}  // namespace aibackend::gateway
