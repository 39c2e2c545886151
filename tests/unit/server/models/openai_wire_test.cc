#include "server/models/openai_wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/base/status.h"

namespace aibackend::models {
namespace {

// Whose pieces live until the next.
OpenAiReader& Reader() {
  static auto* const reader = new OpenAiReader;
  return *reader;
}

absl::StatusOr<AnswerPiece> Read(absl::string_view json) {
  return Reader().ReadEvent("message", json);
}

AnswerPiece ReadOk(absl::string_view json) {
  auto piece = Read(json);
  EXPECT_TRUE(piece.ok()) << piece.status();
  return piece.ok() ? *piece : AnswerPiece();
}

TEST(OpenAiReader, AChunkHasTextAndPerhapsAnEnd) {
  const AnswerPiece piece =
      ReadOk(R"({"choices":[{"index":0,"delta":{"content":"h\u00e9"},"finish_reason":"length"}]})");
  EXPECT_EQ(piece.text, "hé");
  EXPECT_EQ(piece.finish_reason, "length");
  EXPECT_FALSE(piece.usage.prompt_tokens);
}

TEST(OpenAiReader, AWholeAnswerHasAMessage) {
  const auto piece = Reader().ReadWhole(
      R"({"choices":[{"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],
          "usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}})");
  ASSERT_TRUE(piece.ok()) << piece.status();
  EXPECT_TRUE(piece->has_answer);
  EXPECT_EQ(piece->text, "hi");
  EXPECT_EQ(piece->usage.prompt_tokens, 3);
  EXPECT_EQ(piece->usage.completion_tokens, 1);
}

TEST(OpenAiReader, OfSeveralChoicesTheOneWithIndexZeroCounts) {
  EXPECT_EQ(ReadOk(R"({"choices":[{"index":1,"delta":{"content":"b"}},
                                  {"index":0,"delta":{"content":"a"}}]})")
                .text,
            "a");
  EXPECT_FALSE(ReadOk(R"({"choices":[{"index":1,"delta":{"content":"b"}}]})").has_answer);
}

TEST(OpenAiReader, ARefusalIsTheModelsAnswer) {
  EXPECT_EQ(ReadOk(R"({"choices":[{"delta":{"content":null,"refusal":"No."}}]})").text, "No.");
}

TEST(OpenAiReader, FieldsOfAnotherTypeCountAsAbsent) {
  for (const std::string json :
       {R"({})", R"({"choices":null})", R"({"choices":{}})", R"({"choices":[1]})",
        R"({"choices":[{"delta":7}],"usage":7,"error":null})",
        R"({"choices":[{"delta":{"content":{"x":1},"tool_calls":null},"finish_reason":3}]})",
        R"({"usage":{"prompt_tokens":-1,"completion_tokens":99999999999}})",
        R"({"usage":{"prompt_tokens":1.5,"completion_tokens":"1"}})"}) {
    const AnswerPiece piece = ReadOk(json);
    EXPECT_EQ(piece.text, "") << json;
    EXPECT_EQ(piece.finish_reason, "") << json;
    EXPECT_FALSE(piece.usage.prompt_tokens) << json;
    EXPECT_FALSE(piece.usage.completion_tokens) << json;
    EXPECT_FALSE(piece.error) << json;
    EXPECT_TRUE(piece.tool_calls.empty()) << json;
  }
}

TEST(OpenAiReader, AnErrorObjectIsReadWhateverElseThereIs) {
  const AnswerPiece piece =
      ReadOk(R"({"choices":[],"error":{"message":"m","type":"t","code":"c"}})");
  ASSERT_TRUE(piece.error);
  EXPECT_EQ(piece.error->message, "m");
  EXPECT_EQ(piece.error->kind, "c");
  EXPECT_EQ(ReadOk(R"({"error":{"code":502}})").error->http_status, 502);
  EXPECT_EQ(ReadOk(R"({"error":{"code":"429"}})").error->http_status, 429);
  EXPECT_EQ(ReadOk(R"({"error":{"code":7,"type":"t"}})").error->kind, "t");
}

TEST(OpenAiReader, WhatIsNoJsonObjectIsABadResponse) {
  for (const std::string json : {"", "[]", "1", "\"x\"", "{", "{\"a\":\"\xFF\"}", "{} {}",
                                 "{\"a\":\"\\ud800\"}", "<html></html>"}) {
    EXPECT_EQ(ReasonOf(Read(json).status()), Reason::UPSTREAM_BAD_RESPONSE) << json;
  }
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "{\"a\":";
  EXPECT_FALSE(Read(deep).ok());
}

}  // namespace
}  // namespace aibackend::models
