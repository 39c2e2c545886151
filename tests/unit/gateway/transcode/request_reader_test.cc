#include "gateway/transcode/request_reader.h"

#include <gtest/gtest.h>

#include "aibackend/v1/chat.pb.h"
#include "aibackend/v1/documents.pb.h"
#include "aibackend/v1/jobs.pb.h"
#include "aibackend/v1/usage.pb.h"

namespace aibackend::gateway {
namespace {

class RequestReaderTest : public testing::Test {
 protected:
  // Reads the request into `message`, whose type must be the route's.
  template <class Message>
  std::optional<ApiError> Read(const std::string& method, const std::string& target_text,
                               Message& message) {
    const Target target = SplitTarget(target_text);
    const auto found = table_.Find(method, target.path);
    EXPECT_NE(found.route, nullptr) << method << " " << target_text;
    EXPECT_EQ(found.route->method->input_type(), Message::descriptor());
    return ReadRequest(*found.route, found.segments, target.query, request_, message);
  }
  template <class Message>
  void ExpectRefused(const std::string& method, const std::string& target, const char* reason,
                     const char* field) {
    Message message;
    const auto refused = Read(method, target, message);
    ASSERT_TRUE(refused) << target;
    EXPECT_EQ(refused->reason, reason) << target << ": " << refused->message;
    EXPECT_EQ(refused->field, field) << target;
  }
  void SetBody(const std::string& type, const std::string& body) {
    request_.headers.clear();
    if (!type.empty()) request_.headers.emplace("Content-Type", type);
    request_.body = body;
  }
  void AddPart(const std::string& name, const std::string& filename, const std::string& content) {
    request_.files.emplace(name, httplib::MultipartFormData{name, content, filename, ""});
  }

  const RouteTable table_ = *RouteTable::Build(ContractServices());
  httplib::Request request_;
};

TEST_F(RequestReaderTest, QueryParametersFillFieldsByTheirDottedNames) {
  v1::ChatRequest request;
  ASSERT_FALSE(Read(
      "GET", "/generate?prompt=a+b%26c&temperature=0.5&retrieval.top_k=7&retrieval.enabled=true",
      request));
  EXPECT_EQ(request.prompt(), "a b&c");
  EXPECT_EQ(request.temperature(), 0.5);
  EXPECT_EQ(request.retrieval().top_k(), 7);
  EXPECT_TRUE(request.retrieval().enabled());
}

TEST_F(RequestReaderTest, AFilterIsJsonInTheQueryAndInTheBody) {
  v1::RetrieveRequest from_query;
  ASSERT_FALSE(Read("GET",
                    "/v1/retrieve?query=a&filter=%7B%22lang%22%3A%20%22en%22%7D&min_score=0.5",
                    from_query));
  EXPECT_EQ(from_query.filter(), R"({"lang": "en"})");
  EXPECT_EQ(from_query.min_score(), 0.5);
  v1::ChatRequest from_chat;
  ASSERT_FALSE(Read("GET", "/generate?prompt=a&retrieval.filter=%7B%7D", from_chat));
  EXPECT_EQ(from_chat.retrieval().filter(), "{}");

  SetBody("application/json", R"({"query":"a","filter":{"year":{"gte":2020,"lt":2024.5}}})");
  v1::RetrieveRequest from_body;
  ASSERT_FALSE(Read("POST", "/v1/retrieve", from_body));
  EXPECT_EQ(from_body.filter(), R"({"year":{"gte":2020,"lt":2024.5}})");
  SetBody("application/json", R"({"query":"a","filter":null})");
  v1::RetrieveRequest without;
  ASSERT_FALSE(Read("POST", "/v1/retrieve", without));
  EXPECT_EQ(without.filter(), "");
}

TEST_F(RequestReaderTest, AWrongQueryParameterIsNamed) {
  ExpectRefused<v1::RetrieveRequest>("GET", "/retrieve?query=a&topk=5", "UNKNOWN_QUERY_PARAMETER",
                                     "topk");
  ExpectRefused<v1::RetrieveRequest>("GET", "/retrieve?query=a&top_k=five", "WRONG_TYPE", "top_k");
  ExpectRefused<v1::RetrieveRequest>("GET", "/retrieve?query=a&top_k=", "WRONG_TYPE", "top_k");
  ExpectRefused<v1::RetrieveRequest>("GET", "/retrieve?query=a&top_k=1.0", "WRONG_TYPE", "top_k");
  ExpectRefused<v1::RetrieveRequest>("GET", "/retrieve?top_k=99999999999", "FIELD_OUT_OF_RANGE",
                                     "top_k");
  ExpectRefused<v1::RetrieveRequest>("GET", "/retrieve?query=a&query=b", "MALFORMED_REQUEST",
                                     "query");
  ExpectRefused<v1::RetrieveRequest>("GET", "/retrieve?query=%ff", "INVALID_UTF8", "query");
  ExpectRefused<v1::RetrieveRequest>("GET", "/retrieve?query=%zz", "MALFORMED_REQUEST", "query");
  ExpectRefused<v1::RetrieveRequest>("GET", "/retrieve?%ff=1", "UNKNOWN_QUERY_PARAMETER", "\\xff");
  ExpectRefused<v1::ChatRequest>("GET", "/generate?messages=hi", "UNKNOWN_QUERY_PARAMETER",
                                 "messages");
  ExpectRefused<v1::ChatRequest>("GET", "/generate?messages.role=user", "UNKNOWN_QUERY_PARAMETER",
                                 "messages.role");
  ExpectRefused<v1::ChatRequest>("GET", "/generate?retrieval=x", "UNKNOWN_QUERY_PARAMETER",
                                 "retrieval");
  ExpectRefused<v1::ChatRequest>("GET", "/generate?temperature=nan", "WRONG_TYPE", "temperature");
  ExpectRefused<v1::ChatRequest>("GET", "/generate?temperature=1e999", "FIELD_OUT_OF_RANGE",
                                 "temperature");
  ExpectRefused<v1::ChatRequest>("GET", "/generate?retrieval.enabled=yes", "WRONG_TYPE",
                                 "retrieval.enabled");
  ExpectRefused<v1::ChatRequest>("POST", "/v1/chat?model=m", "UNKNOWN_QUERY_PARAMETER", "model");
  ExpectRefused<v1::GetJobRequest>("GET", "/jobs/a?job_id=b", "MALFORMED_REQUEST", "job_id");
}

TEST_F(RequestReaderTest, APathVariableIsDecoded) {
  v1::GetJobRequest request;
  ASSERT_FALSE(Read("GET", "/v1/jobs/a%20b+c", request));
  EXPECT_EQ(request.job_id(), "a b+c");
  ExpectRefused<v1::GetJobRequest>("GET", "/v1/jobs/%ff", "INVALID_UTF8", "job_id");
  ExpectRefused<v1::GetJobRequest>("GET", "/v1/jobs/a%2", "MALFORMED_REQUEST", "job_id");
}

TEST_F(RequestReaderTest, APathVariableAndTheBodyMayNotSayTheSameThing) {
  v1::StartJobRequest request;
  SetBody("application/json", R"({"kind":"index_documents"})");
  ASSERT_FALSE(Read("POST", "/datasets/notes/process", request));
  EXPECT_EQ(request.collection(), "notes");
  SetBody("application/json", R"({"collection":"other"})");
  ExpectRefused<v1::StartJobRequest>("POST", "/datasets/notes/process", "FIELD_INVALID",
                                     "collection");
}

TEST_F(RequestReaderTest, AnEmptyBodyIsAnEmptyMessage) {
  v1::StartJobRequest request;
  EXPECT_FALSE(Read("POST", "/process", request));
  EXPECT_EQ(request.ByteSizeLong(), 0u);
}

TEST_F(RequestReaderTest, ABodyWhereNoneBelongsIsRefused) {
  SetBody("application/json", "{}");
  ExpectRefused<v1::RetrieveRequest>("GET", "/retrieve?query=a", "MALFORMED_REQUEST", "");
  ExpectRefused<v1::DeleteDocumentRequest>("DELETE", "/v1/documents/x", "MALFORMED_REQUEST", "");
}

TEST_F(RequestReaderTest, TheBodyIsJsonByWhateverNameACurlUserSendsIt) {
  for (const char* type :
       {"", "application/json", "Application/JSON; charset=UTF-8",
        "application/json;charset=\"utf-8\"", "application/x-www-form-urlencoded"}) {
    SetBody(type, R"( {"prompt":"hi"})");
    v1::ChatRequest request;
    EXPECT_FALSE(Read("POST", "/chat", request)) << type;
    EXPECT_EQ(request.prompt(), "hi");
  }
  for (const char* type : {"text/plain", "application/xml", "application/json; charset=latin1",
                           "multipart/form-data; boundary=x", ";"}) {
    SetBody(type, R"({"prompt":"hi"})");
    ExpectRefused<v1::ChatRequest>("POST", "/chat", "UNSUPPORTED_MEDIA_TYPE", "");
  }
  SetBody("application/x-www-form-urlencoded", "prompt=hi");
  ExpectRefused<v1::ChatRequest>("POST", "/chat", "UNSUPPORTED_MEDIA_TYPE", "");
}

TEST_F(RequestReaderTest, FilesOfAFormBecomeDocuments) {
  SetBody("multipart/form-data; boundary=x", "");
  AddPart("file", "a.txt", "first");
  AddPart("file", "b.md", "second");
  AddPart("collection", "", "notes");
  v1::AddDocumentsRequest request;
  ASSERT_FALSE(Read("POST", "/ai/upload", request));
  ASSERT_EQ(request.documents_size(), 2);
  EXPECT_EQ(request.documents(0).source(), "a.txt");
  EXPECT_EQ(request.documents(0).title(), "");
  EXPECT_EQ(request.documents(1).content(), "second");
  EXPECT_EQ(request.collection(), "notes");
}

TEST_F(RequestReaderTest, AFormPartThatFitsNothingIsNamed) {
  SetBody("multipart/form-data; boundary=x", "");
  AddPart("file", "photo.png", "\x89PNG\xff");  // any bytes may be a file's
  AddPart("file", "\xff.txt", "x");
  v1::AddDocumentsRequest request;
  const auto refused = Read("POST", "/v1/documents", request);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->reason, "INVALID_UTF8");
  EXPECT_EQ(refused->field, "documents[1].source");

  request_.files.clear();
  AddPart("colection", "", "notes");
  ExpectRefused<v1::AddDocumentsRequest>("POST", "/v1/documents", "UNKNOWN_FIELD", "colection");
}

TEST(SplitTarget, EveryFormOfATargetHasAPathAndAQuery) {
  EXPECT_EQ(SplitTarget("/a/b?c=d").path, "/a/b");
  EXPECT_EQ(SplitTarget("/a/b?c=d").query, "c=d");
  EXPECT_EQ(SplitTarget("http://host:80/a?b").path, "/a");
  EXPECT_EQ(SplitTarget("http://host").path, "/");
  EXPECT_EQ(SplitTarget("http://host?url=/x").path, "/");
  EXPECT_EQ(SplitTarget("http://host?url=/x").query, "url=/x");
  EXPECT_EQ(SplitTarget("/a?url=http://x/y").path, "/a");
  EXPECT_EQ(SplitTarget("/a#b?c").path, "/a");
  EXPECT_EQ(SplitTarget("").path, "");
}

}  // namespace
}  // namespace aibackend::gateway
