// The Anthropic adapter against a script, and the events its upstream sends.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/models/anthropic_model.h"
#include "tests/unit/server/models/upstream_fixture.h"

namespace aibackend::models {

using Fixture = ModelFixture<AnthropicModel>;

inline std::string Event(const nlohmann::json& data) {
  return absl::StrCat("event: ", data["type"].get<std::string>(), "\ndata: ", data.dump(), "\n\n");
}

inline std::string Start(int input_tokens = 9) {
  return Event({{"type", "message_start"},
                {"message",
                 {{"id", "msg_1"},
                  {"role", "assistant"},
                  {"content", nlohmann::json::array()},
                  {"stop_reason", nullptr},
                  {"usage", {{"input_tokens", input_tokens}, {"output_tokens", 1}}}}}}) +
         Event({{"type", "content_block_start"},
                {"index", 0},
                {"content_block", {{"type", "text"}, {"text", ""}}}}) +
         Event({{"type", "ping"}});
}

inline std::string Token(const std::string& text) {
  return Event({{"type", "content_block_delta"},
                {"index", 0},
                {"delta", {{"type", "text_delta"}, {"text", text}}}});
}

inline std::string StopReason(const std::string& stop_reason, int output_tokens = 4) {
  return Event({{"type", "content_block_stop"}, {"index", 0}}) +
         Event({{"type", "message_delta"},
                {"delta", {{"stop_reason", stop_reason}, {"stop_sequence", nullptr}}},
                {"usage", {{"output_tokens", output_tokens}}}});
}

inline std::string Stop() {
  return Event({{"type", "message_stop"}});
}

inline std::string End(const std::string& stop_reason = "end_turn") {
  return StopReason(stop_reason) + Stop();
}

inline std::string ErrorBody(const std::string& type, const std::string& message = "m") {
  return nlohmann::json({{"type", "error"}, {"error", {{"type", type}, {"message", message}}}})
      .dump();
}

inline std::string WholeAnswer(const std::string& text,
                               const std::string& stop_reason = "end_turn") {
  return nlohmann::json({{"type", "message"},
                         {"role", "assistant"},
                         {"content", {{{"type", "text"}, {"text", text}}}},
                         {"stop_reason", stop_reason},
                         {"usage", {{"input_tokens", 11}, {"output_tokens", 7}}}})
      .dump();
}

inline GenerateResult ResultOf(testing::ScriptedServer::Script script, bool stream = true) {
  return ResultOfScript<Fixture>(std::move(script), stream);
}

}  // namespace aibackend::models
