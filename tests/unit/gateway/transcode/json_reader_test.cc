#include "gateway/transcode/json_reader.h"

#include <gtest/gtest.h>

#include <random>

#include "absl/strings/str_cat.h"
#include "aibackend/v1/chat.pb.h"
#include "aibackend/v1/documents.pb.h"
#include "aibackend/v1/jobs.pb.h"
#include "aibackend/v1/usage.pb.h"

namespace aibackend::gateway {
namespace {

struct Refusal {
  const char* json;
  const char* reason;
  const char* field;
};

template <class Message>
void ExpectRefused(const std::vector<Refusal>& cases) {
  for (const Refusal& c : cases) {
    Message message;
    const auto refused = ReadJson(c.json, message);
    ASSERT_TRUE(refused) << c.json;
    EXPECT_EQ(refused->reason, c.reason) << c.json << ": " << refused->message;
    EXPECT_EQ(refused->field, c.field) << c.json;
  }
}

template <class Message>
Message Read(absl::string_view json) {
  Message message;
  const auto refused = ReadJson(json, message);
  EXPECT_FALSE(refused) << json << ": " << refused->reason << " " << refused->field;
  return message;
}

TEST(JsonReader, AChatRequestIsReadAsItStands) {
  const auto request = Read<v1::ChatRequest>(
      R"({"messages":[{"role":"system","content":""},{"role":"user","content":"héllo \u00e9 \ud83d\ude00"}],
          "temperature":0,"max_tokens":5.0,"model":"m","retrieval":{"enabled":false,"top_k":3}})");
  ASSERT_EQ(request.messages_size(), 2);
  EXPECT_EQ(request.messages(1).content(), "héllo é 😀");
  EXPECT_TRUE(request.has_temperature());
  EXPECT_EQ(request.temperature(), 0);
  EXPECT_EQ(request.max_tokens(), 5);
  EXPECT_TRUE(request.retrieval().has_enabled());
  EXPECT_FALSE(request.retrieval().enabled());
  EXPECT_FALSE(request.retrieval().has_strict());
}

TEST(JsonReader, NullIsAsIfAbsent) {
  const auto request = Read<v1::ChatRequest>(
      R"({"messages":null,"temperature":null,"prompt":null,"retrieval":null})");
  EXPECT_EQ(request.ByteSizeLong(), 0u);
}

TEST(JsonReader, AWrongFieldIsNamed) {
  ExpectRefused<v1::ChatRequest>({
      {R"({"mesages":[]})", "UNKNOWN_FIELD", "mesages"},
      {R"({"maxTokens":1})", "UNKNOWN_FIELD", "maxTokens"},
      {R"({"messages":[{"role":"user","contents":"x"}]})", "UNKNOWN_FIELD", "messages[0].contents"},
      {R"({"retrieval":{"k":1}})", "UNKNOWN_FIELD", "retrieval.k"},
      {R"({"prompt":"a","prompt":"b"})", "MALFORMED_JSON", "prompt"},
      {R"({"messages":[{"role":"user"},{"role":7}]})", "WRONG_TYPE", "messages[1].role"},
      {R"({"messages":{}})", "WRONG_TYPE", "messages"},
      {R"({"messages":["hi"]})", "WRONG_TYPE", "messages[0]"},
      {R"({"messages":[null]})", "WRONG_TYPE", "messages[0]"},
      {R"({"retrieval":[]})", "WRONG_TYPE", "retrieval"},
      {R"({"retrieval":{"enabled":"true"}})", "WRONG_TYPE", "retrieval.enabled"},
      {R"({"retrieval":{"enabled":1}})", "WRONG_TYPE", "retrieval.enabled"},
      {R"({"temperature":"0.5"})", "WRONG_TYPE", "temperature"},
      {R"({"max_tokens":"5"})", "WRONG_TYPE", "max_tokens"},
      {R"({"max_tokens":1.5})", "WRONG_TYPE", "max_tokens"},
      {R"({"max_tokens":2147483648})", "FIELD_OUT_OF_RANGE", "max_tokens"},
      {R"({"max_tokens":-2147483649})", "FIELD_OUT_OF_RANGE", "max_tokens"},
      {R"({"max_tokens":1e300})", "FIELD_OUT_OF_RANGE", "max_tokens"},
      {R"({"max_tokens":99999999999999999999999})", "FIELD_OUT_OF_RANGE", "max_tokens"},
      {R"({"retrieval":{"top_k":-99999999999999999999}})", "FIELD_OUT_OF_RANGE", "retrieval.top_k"},
      {R"({"messages":[{},{"role":"a"}],"temperature":1e999})", "FIELD_OUT_OF_RANGE",
       "temperature"},
      {R"({"prompt":5})", "WRONG_TYPE", "prompt"},
      {R"([])", "WRONG_TYPE", ""},
      {R"("text")", "WRONG_TYPE", ""},
      {R"(null)", "WRONG_TYPE", ""},
  });
}

TEST(JsonReader, MalformedJsonIsRefusedWithItsPlace) {
  for (const char* json :
       {"{", "{\"a\"", "{\"prompt\":}", "{'prompt':1}", "{} {}", "{\"prompt\":\"a\n\"}",
        "{\"prompt\":\"\\x\"}", "{\"temperature\":01}", "{\"temperature\":.5}", "",
        "{\"temperature\":NaN}", "{\"prompt\":\"\\ud800\"}", "{,}", "not json"}) {
    v1::ChatRequest message;
    const auto refused = ReadJson(json, message);
    ASSERT_TRUE(refused) << json;
    EXPECT_EQ(refused->reason, "MALFORMED_JSON") << json;
    EXPECT_EQ(refused->http_status, 400) << json;
  }
  v1::ChatRequest message;
  const auto refused = ReadJson("{\n  \"prompt\": oops\n}", message);
  ASSERT_TRUE(refused);
  EXPECT_NE(refused->message.find("line 2, column 13"), std::string::npos) << refused->message;
}

TEST(JsonReader, BytesThatAreNotUtf8AreRefused) {
  ExpectRefused<v1::ChatRequest>({{"{\"prompt\":\"\xff\"}", "INVALID_UTF8", ""},
                                  {"{\"prompt\":\"\xc0\x80\"}", "INVALID_UTF8", ""},
                                  {"\xef\xbf{}", "INVALID_UTF8", ""}});
}

TEST(JsonReader, AnInt64IsANumberOrDigits) {
  EXPECT_EQ(Read<v1::RequestLog>(R"({"cost_nano_usd":9223372036854775807})").cost_nano_usd(),
            INT64_MAX);
  EXPECT_EQ(Read<v1::RequestLog>(R"({"cost_nano_usd":"-9223372036854775808"})").cost_nano_usd(),
            INT64_MIN);
  ExpectRefused<v1::RequestLog>({
      {R"({"cost_nano_usd":"9223372036854775808"})", "FIELD_OUT_OF_RANGE", "cost_nano_usd"},
      {R"({"cost_nano_usd":9223372036854775808})", "FIELD_OUT_OF_RANGE", "cost_nano_usd"},
      {R"({"cost_nano_usd":"-99999999999999999999"})", "FIELD_OUT_OF_RANGE", "cost_nano_usd"},
      {R"({"cost_nano_usd":"12a"})", "WRONG_TYPE", "cost_nano_usd"},
      {R"({"cost_nano_usd":""})", "WRONG_TYPE", "cost_nano_usd"},
      {R"({"cost_nano_usd":" 1"})", "WRONG_TYPE", "cost_nano_usd"},
  });
}

TEST(JsonReader, AnEnumIsTheNameOfAValue) {
  EXPECT_EQ(Read<v1::Job>(R"({"status":"RUNNING"})").status(), v1::Job::RUNNING);
  ExpectRefused<v1::Job>({{R"({"status":"Running"})", "FIELD_INVALID", "status"},
                          {R"({"status":2})", "WRONG_TYPE", "status"}});
}

TEST(JsonReader, AStructKeepsEveryKindOfValue) {
  const auto document = Read<v1::Document>(
      R"({"metadata":{"n":1.5,"s":"x","b":true,"z":null,"l":[1,[2]],"o":{"k":{}}},
          "created_at":"2024-05-01T12:00:00.5Z"})");
  const auto& fields = document.metadata().fields();
  EXPECT_EQ(fields.at("n").number_value(), 1.5);
  EXPECT_EQ(fields.at("z").kind_case(), google::protobuf::Value::kNullValue);
  EXPECT_EQ(fields.at("l").list_value().values(1).list_value().values(0).number_value(), 2);
  EXPECT_TRUE(fields.at("o").struct_value().fields().at("k").has_struct_value());
  EXPECT_EQ(document.created_at().seconds(), 1714564800);
  ExpectRefused<v1::Document>(
      {{R"({"metadata":[]})", "WRONG_TYPE", "metadata"},
       {R"({"metadata":{"a":{"b":1,"b":2}}})", "MALFORMED_JSON", "metadata.a.b"},
       {R"({"created_at":"yesterday"})", "FIELD_INVALID", "created_at"},
       {R"({"created_at":5})", "WRONG_TYPE", "created_at"}});
}

TEST(JsonReader, DeepNestingIsRefusedAndWhatIsReadFitsTheWire) {
  const auto nested = [](int levels) {
    std::string json = "{\"metadata\":";
    for (int i = 0; i < levels; ++i) json += "{\"a\":";
    json += "1";
    json.append(static_cast<size_t>(levels) + 1, '}');
    return json;
  };
  const auto document =
      Read<v1::AddDocumentsRequest>(absl::StrCat("{\"documents\":[", nested(30), "]}"));
  v1::AddDocumentsRequest copy;
  EXPECT_TRUE(copy.ParseFromString(document.SerializeAsString()));

  v1::Document refused_message;
  for (const int levels : {40, 100, 100'000})
    EXPECT_TRUE(ReadJson(nested(levels), refused_message)) << levels;
}

TEST(JsonReader, MoreValuesThanMemoryIsWorthAreRefused) {
  std::string json = "{\"metadata\":{\"a\":[0";
  for (size_t i = 0; i < kJsonValuesMax; ++i) json += ",0";
  json += "]}}";
  v1::Document document;
  const auto refused = ReadJson(json, document);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->reason, "REQUEST_TOO_LARGE");
}

TEST(JsonReader, NoBytesCrashIt) {
  std::mt19937 random(20240501);
  const std::string seed =
      R"({"documents":[{"id":"a","metadata":{"k":[1,2.5e3,null,true]},"created_at":"2024-05-01T12:00:00Z"}]})";
  const std::string alphabet = "{}[]\",:\\0123456789.eE+-ntfu \xff\xc3\xa9";
  int refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string json = seed;
    const int edits = 1 + static_cast<int>(random() % 6);
    for (int e = 0; e < edits; ++e) {
      const size_t at = random() % json.size();
      switch (random() % 3) {
        case 0:
          json[at] = alphabet[random() % alphabet.size()];
          break;
        case 1:
          json.erase(at, 1 + random() % 4);
          break;
        default:
          json.insert(at, 1, alphabet[random() % alphabet.size()]);
      }
      if (json.empty()) json = "{";
    }
    v1::AddDocumentsRequest message;
    if (const auto error = ReadJson(json, message)) {
      ++refused;
      EXPECT_EQ(error->http_status, 400);
    } else {
      v1::AddDocumentsRequest copy;
      EXPECT_TRUE(copy.ParseFromString(message.SerializeAsString())) << json;
    }
  }
  EXPECT_GT(refused, 1'000);
}

}  // namespace
}  // namespace aibackend::gateway
