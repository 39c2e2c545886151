#include "server/models/anthropic_wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"

namespace aibackend::models {
namespace {

// Whose pieces live until the next.
AnthropicReader& Reader() {
  static auto* const reader = new AnthropicReader;
  return *reader;
}

AnswerPiece EventOk(absl::string_view json) {
  auto piece = Reader().ReadEvent("message", json);
  EXPECT_TRUE(piece.ok()) << piece.status();
  return piece.ok() ? *piece : AnswerPiece();
}

AnswerPiece WholeOk(absl::string_view json) {
  auto piece = Reader().ReadWhole(json);
  EXPECT_TRUE(piece.ok()) << piece.status();
  return piece.ok() ? *piece : AnswerPiece();
}

TEST(AnthropicReader, TheEventsOfAStreamSayTextEndAndUsage) {
  const AnswerPiece start = EventOk(
      R"({"type":"message_start","message":{"usage":{"input_tokens":25,"output_tokens":1}}})");
  EXPECT_EQ(start.usage.prompt_tokens, 25);
  EXPECT_FALSE(start.usage.completion_tokens)
      << "what it has at the start is no count of the answer";
  EXPECT_EQ(EventOk(R"({"type":"content_block_delta","index":0,
                        "delta":{"type":"text_delta","text":"h\u00e9"}})")
                .text,
            "hé");
  const AnswerPiece end = EventOk(R"({"type":"message_delta",
      "delta":{"stop_reason":"max_tokens","stop_sequence":null},"usage":{"output_tokens":15}})");
  EXPECT_EQ(end.finish_reason, "length");
  EXPECT_EQ(end.usage.completion_tokens, 15);
  EXPECT_FALSE(end.usage.prompt_tokens);
  EXPECT_FALSE(end.ends_stream);
  EXPECT_TRUE(EventOk(R"({"type":"message_stop"})").ends_stream);
}

TEST(AnthropicReader, OfAWholeAnswerTheBlocksOfTextAreJoined) {
  const AnswerPiece piece = WholeOk(R"({"type":"message","content":[
      {"type":"thinking","thinking":"hm"}, {"type":"text","text":"one "}, 7,
      {"type":"text","text":"two"}],"stop_reason":"end_turn",
      "usage":{"input_tokens":3,"output_tokens":2}})");
  EXPECT_TRUE(piece.has_answer);
  EXPECT_EQ(piece.text, "one two");
  EXPECT_EQ(piece.finish_reason, "stop");
  EXPECT_EQ(piece.usage.prompt_tokens, 3);
  EXPECT_EQ(piece.usage.completion_tokens, 2);
}

TEST(AnthropicReader, ThePromptIncludesWhatTheCacheReadAndTook) {
  const auto prompt = [](const std::string& usage) {
    return WholeOk(absl::StrCat(R"({"content":[],"usage":)", usage, "}")).usage.prompt_tokens;
  };
  EXPECT_EQ(prompt(R"({"input_tokens":1,"cache_read_input_tokens":20,
                       "cache_creation_input_tokens":300})"),
            321);
  EXPECT_EQ(prompt(R"({"input_tokens":1,"cache_read_input_tokens":null})"), 1);
  EXPECT_EQ(prompt(R"({"cache_read_input_tokens":20})"), absl::nullopt);
  EXPECT_EQ(prompt(R"({"input_tokens":1073741823,"cache_read_input_tokens":1073741823,
                       "cache_creation_input_tokens":1073741823})"),
            absl::nullopt);
}

TEST(AnthropicReader, StopReasonsWithAnEqualBecomeFinishReasons) {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"end_turn", "stop"},          {"stop_sequence", "stop"},  {"max_tokens", "length"},
      {"refusal", "content_filter"}, {"tool_use", "tool_calls"}, {"pause_turn", "pause_turn"}};
  for (const auto& [stop_reason, finish_reason] : table) {
    const std::string json =
        absl::StrCat(R"({"type":"message_delta","delta":{"stop_reason":")", stop_reason, "\"}}");
    EXPECT_EQ(EventOk(json).finish_reason, finish_reason);
  }
}

TEST(AnthropicReader, OtherBlocksAndEventsHoldNoText) {
  for (const std::string json :
       {R"({})", R"({"type":"ping"})", R"({"type":"an_event_of_tomorrow","text":"x"})",
        R"({"type":7})", R"({"type":"message_start","message":7})",
        R"({"type":"message_delta","delta":{"stop_reason":null},"usage":null})",
        R"({"type":"message_delta","usage":{"output_tokens":-1}})",
        R"({"type":"message_delta","usage":{"output_tokens":1.5}})",
        R"({"type":"content_block_delta","delta":{"type":"signature_delta","signature":"x"}})",
        R"({"type":"content_block_delta","delta":{"type":"text_delta","text":{"x":1}}})",
        R"({"type":"content_block_delta","delta":[]})",
        R"({"type":"content_block_start","content_block":{"type":"thinking","thinking":""}})"}) {
    const AnswerPiece piece = EventOk(json);
    EXPECT_EQ(piece.text, "") << json;
    EXPECT_EQ(piece.finish_reason, "") << json;
    EXPECT_FALSE(piece.usage.prompt_tokens || piece.usage.completion_tokens) << json;
    EXPECT_FALSE(piece.error || piece.ends_stream) << json;
  }
  EXPECT_EQ(EventOk(R"({"type":"content_block_start","content_block":{"type":"tool_use"}})")
                .tool_calls.size(),
            1u);
}

TEST(AnthropicReader, AnErrorHasTheStatusOfItsType) {
  const std::vector<std::pair<std::string, int>> table = {
      {"invalid_request_error", 400}, {"authentication_error", 401},
      {"billing_error", 402},         {"permission_error", 403},
      {"not_found_error", 404},       {"request_too_large", 413},
      {"rate_limit_error", 429},      {"api_error", 500},
      {"timeout_error", 504},         {"overloaded_error", 529},
      {"an_error_of_tomorrow", 0}};
  for (const auto& [type, status] : table) {
    const std::string json = absl::StrCat(R"({"type":"error","error":{"type":")", type,
                                          R"(","message":"why"},"request_id":"req_1"})");
    for (const auto& error : {EventOk(json).error, WholeOk(json).error,
                              absl::optional<UpstreamError>(AnthropicReader().ReadError(json))}) {
      ASSERT_TRUE(error);
      EXPECT_EQ(error->message, "why");
      EXPECT_EQ(error->kind, type);
      EXPECT_EQ(error->http_status, status);
    }
  }
  EXPECT_TRUE(AnthropicReader().ReadEvent("error", "{}")->error);
  EXPECT_EQ(AnthropicReader().ReadError("<html>").message, "");
}

TEST(AnthropicReader, WhatIsNoJsonObjectIsABadResponse) {
  for (const std::string json : {"", "[]", "1", "{", "{\"a\":\"\xFF\"}", "[DONE]"}) {
    EXPECT_EQ(ReasonOf(Reader().ReadEvent("message", json).status()), Reason::UPSTREAM_BAD_RESPONSE)
        << json;
    EXPECT_EQ(ReasonOf(Reader().ReadWhole(json).status()), Reason::UPSTREAM_BAD_RESPONSE) << json;
  }
}

}  // namespace
}  // namespace aibackend::models
