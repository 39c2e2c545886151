#include "gateway/transcode/json_writer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>

#include "aibackend/v1/chat.pb.h"
#include "aibackend/v1/documents.pb.h"
#include "aibackend/v1/embeddings.pb.h"
#include "aibackend/v1/jobs.pb.h"
#include "aibackend/v1/usage.pb.h"
#include "gateway/transcode/sse.h"
#include "google/protobuf/dynamic_message.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/util/json_util.h"

namespace aibackend::gateway {
namespace {

TEST(JsonWriter, DefaultsArePrintedAndUnsetOptionalsAreNot) {
  const auto json = nlohmann::json::parse(*MessageToJson(v1::ChatResponse()));
  EXPECT_FALSE(json.contains("response"));       // optional
  EXPECT_FALSE(json.contains("usage"));          // a message
  EXPECT_FALSE(json.contains("cost_nano_usd"));  // optional: an unknown cost is not 0
  EXPECT_EQ(json["citations"], nlohmann::json::array());
  EXPECT_EQ(json["outcome"], "OUTCOME_UNSPECIFIED");
  const auto log = nlohmann::json::parse(*MessageToJson(v1::RequestLog()));
  EXPECT_EQ(log["price_version"], "0");  // int64 is a string
  EXPECT_EQ(json["finish_reason"], "");
  v1::ChatResponse empty_answer;
  empty_answer.set_response("");
  EXPECT_EQ(nlohmann::json::parse(*MessageToJson(empty_answer))["response"], "");
}

// What protobuf itself makes of a message, in the contract's mapping.
nlohmann::json ByProtobuf(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string json;
  EXPECT_TRUE(google::protobuf::util::MessageToJsonString(message, &json, options).ok());
  return nlohmann::json::parse(json);
}

nlohmann::json ByUs(const google::protobuf::Message& message) {
  return nlohmann::json::parse(MessageToJson(message).value());
}

template <class Message>
Message FromText(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

TEST(JsonWriter, TheJsonIsProtobufs) {
  EXPECT_EQ(ByUs(v1::ListUsageResponse()), ByProtobuf(v1::ListUsageResponse()));
  const auto retrieved = FromText<v1::RetrieveResponse>(R"(
    documents: "one \"quoted\"" documents: "" mode: "hybrid" generation: 3 confidence: 0.1
    matches {
      document_id: "a/b" text: "caf\303\251\n" score: 1 start: -1 end: 2147483647
      metadata {
        fields { key: "year" value { number_value: 2020 } }
        fields { key: "share" value { number_value: -1e-7 } }
        fields { key: "none" value { null_value: NULL_VALUE } }
        fields { key: "draft" value { bool_value: false } }
        fields { key: "tags" value { list_value { values { string_value: "x" } values { list_value {} } } } }
        fields { key: "in" value { struct_value { fields { key: "\"" value { string_value: "" } } } } }
      }
      explanation { legs { leg: "words" score: 12.5 normalised: 0.30000000000000004 } }
    }
    matches {})");
  EXPECT_EQ(ByUs(retrieved), ByProtobuf(retrieved));
  const auto job = FromText<v1::Job>(R"(
    job_id: "job_1" status: RUNNING progress { done: 1 } created_at { seconds: 1700000000 nanos: 5000000 }
    error { code: "INTERNAL" reason: "INTERNAL" })");
  EXPECT_EQ(ByUs(job), ByProtobuf(job));
  const auto document = FromText<v1::Document>(R"(content: "\000\377\376abc" metadata {})");
  EXPECT_EQ(ByUs(document), ByProtobuf(document));
  const auto collection =
      FromText<v1::Collection>("documents: -9223372036854775808 chunks: 9223372036854775807");
  EXPECT_EQ(ByUs(collection), ByProtobuf(collection));
}

TEST(JsonWriter, NumbersReadBackAsTheyWere) {
  for (const double number : {0.0, -0.0, 0.1, 1.0 / 3, 5e-324, 1e21, 1.7976931348623157e308}) {
    v1::RetrieveResponse response;
    response.set_confidence(number);
    EXPECT_EQ(ByUs(response)["confidence"].get<double>(), number);
    v1::Embedding embedding;
    embedding.add_values(static_cast<float>(number / 1e300));
    EXPECT_EQ(ByUs(embedding)["values"][0].get<float>(), embedding.values(0));
  }
  for (const double none : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    v1::RetrieveResponse response;
    response.set_confidence(none);
    EXPECT_EQ(ByUs(response), ByProtobuf(response));
  }
}

TEST(JsonWriter, AnEnumValueOfANewerContractIsItsNumber) {
  v1::Job job;
  job.set_status(static_cast<v1::Job::Status>(77));
  EXPECT_EQ(ByUs(job)["status"], 77);
}

TEST(JsonWriter, WhatHasNoJsonIsNone) {
  v1::Job job;
  job.mutable_created_at()->set_seconds(std::numeric_limits<int64_t>::max());
  EXPECT_EQ(MessageToJson(job), std::nullopt);
}

TEST(JsonWriter, AMapIsAnObject) {
  google::protobuf::FileDescriptorProto file;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(R"(
    name: "map.proto" syntax: "proto3"
    message_type {
      name: "Counts"
      field { name: "of" number: 1 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".Counts.OfEntry" json_name: "of" }
      nested_type {
        name: "OfEntry" options { map_entry: true }
        field { name: "key" number: 1 label: LABEL_OPTIONAL type: TYPE_INT32 json_name: "key" }
        field { name: "value" number: 2 label: LABEL_OPTIONAL type: TYPE_INT64 json_name: "value" }
      }
    })",
                                                            &file));
  google::protobuf::DescriptorPool pool;
  ASSERT_NE(pool.BuildFile(file), nullptr);
  google::protobuf::DynamicMessageFactory factory(&pool);
  const std::unique_ptr<google::protobuf::Message> counts(
      factory.GetPrototype(pool.FindMessageTypeByName("Counts"))->New());
  EXPECT_EQ(ByUs(*counts), nlohmann::json::parse(R"({"of":{}})"));
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString("of { key: 3 value: 4 } of { key: -1 }",
                                                            counts.get()));
  EXPECT_EQ(ByUs(*counts), nlohmann::json::parse(R"({"of":{"3":"4","-1":"0"}})"));
  EXPECT_EQ(ByUs(*counts), ByProtobuf(*counts));
}

TEST(JsonWriter, AStringComesBackAsItWas) {
  for (const std::string& text : {std::string("plain"), std::string("\"\\\b\f\n\r\t\0\x1f", 9),
                                  std::string("héllo 😀 \u2028"), std::string("</script>")}) {
    std::string json;
    AppendJsonString(text, json);
    EXPECT_EQ(nlohmann::json::parse(json), text);
    EXPECT_EQ(json.find('\n'), std::string::npos);
  }
}

TEST(JsonWriter, BytesThatAreNotUtf8AreReplaced) {
  std::string json;
  AppendJsonString("a\xff\xc3(\xf0\x9f\x98\x80\xe2\x82", json);
  EXPECT_EQ(json, "\"a\uFFFD\uFFFD(😀\uFFFD\uFFFD\"");
}

TEST(Sse, AnEventIsFramedByTheStandard) {
  EXPECT_EQ(SseDelta(3, "a\n\"b\""), "id: 3\ndata: {\"delta\":\"a\\n\\\"b\\\"\"}\n\n");
  EXPECT_EQ(SseData(1, "{}"), "id: 1\ndata: {}\n\n");
  EXPECT_EQ(SseNamed("done", "{}"), "event: done\ndata: {}\n\n");
}

}  // namespace
}  // namespace aibackend::gateway
