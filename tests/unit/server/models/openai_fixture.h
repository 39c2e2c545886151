// The OpenAI adapter against a script, and the events its upstream sends.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/models/openai_model.h"
#include "tests/unit/server/models/upstream_fixture.h"

namespace aibackend::models {

using Fixture = ModelFixture<OpenAiModel>;

inline std::string Event(const nlohmann::json& data) {
  return absl::StrCat("data: ", data.dump(), "\n\n");
}

inline std::string Token(const std::string& text) {
  return Event({{"choices", {{{"index", 0}, {"delta", {{"content", text}}}}}}});
}

inline std::string End(const std::string& finish_reason = "stop") {
  return Event(
      {{"choices",
        {{{"index", 0}, {"delta", nlohmann::json::object()}, {"finish_reason", finish_reason}}}}});
}

inline std::string UsageEvent(int prompt, int completion) {
  return Event({{"choices", nlohmann::json::array()},
                {"usage", {{"prompt_tokens", prompt}, {"completion_tokens", completion}}}});
}

inline constexpr char kDoneEvent[] = "data: [DONE]\n\n";

inline std::string WholeAnswer(const std::string& content,
                               const std::string& finish_reason = "stop") {
  return nlohmann::json({{"choices",
                          {{{"message", {{"role", "assistant"}, {"content", content}}},
                            {"finish_reason", finish_reason}}}},
                         {"usage", {{"prompt_tokens", 11}, {"completion_tokens", 7}}}})
      .dump();
}

inline GenerateResult ResultOf(testing::ScriptedServer::Script script, bool stream = true) {
  return ResultOfScript<Fixture>(std::move(script), stream);
}

}  // namespace aibackend::models
