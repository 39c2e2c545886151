#include "server/chat/turn_rules.h"

#include <cmath>

#include "gtest/gtest.h"
#include "server/base/status.h"

namespace aibackend::chat {
namespace {

TurnRequest Good() {
  TurnRequest request;
  request.generate.messages = {{models::Role::kSystem, "Be brief."},
                               {models::Role::kUser, "What is gRPC?"}};
  return request;
}

void ExpectRefused(const TurnRequest& request, v1::Error::Reason reason, const std::string& field) {
  const absl::Status status = CheckTurn(request);
  EXPECT_EQ(ReasonOf(status), reason) << status;
  EXPECT_EQ(FieldOf(status), field);
}

TEST(TurnRules, AGoodRequestPasses) {
  EXPECT_TRUE(CheckTurn(Good()).ok());
  TurnRequest edge = Good();
  edge.generate.temperature = 0;
  edge.generate.max_tokens = kMaxTokensMax;
  edge.retrieval.top_k = kTopKMax;
  EXPECT_TRUE(CheckTurn(edge).ok());
  edge.generate.temperature = 2;
  edge.generate.max_tokens = 1;
  edge.retrieval.top_k = 1;
  EXPECT_TRUE(CheckTurn(edge).ok());
}

TEST(TurnRules, EachNumberHasItsBounds) {
  for (const double temperature : {-0.001, 2.001, std::nan(""), HUGE_VAL}) {
    TurnRequest request = Good();
    request.generate.temperature = temperature;
    ExpectRefused(request, Reason::TEMPERATURE_OUT_OF_RANGE, "temperature");
  }
  for (const int max_tokens : {0, -1, kMaxTokensMax + 1}) {
    TurnRequest request = Good();
    request.generate.max_tokens = max_tokens;
    ExpectRefused(request, Reason::FIELD_OUT_OF_RANGE, "max_tokens");
  }
  for (const int top_k : {0, -1, kTopKMax + 1}) {
    TurnRequest request = Good();
    request.retrieval.top_k = top_k;
    ExpectRefused(request, Reason::TOP_K_OUT_OF_RANGE, "retrieval.top_k");
  }
}

TEST(TurnRules, AModelsOwnRangeOfTemperaturesIsKept) {
  models::ModelInfo model;
  model.id = "cool";
  model.temperature_max = 1;
  TurnRequest request = Good();
  EXPECT_TRUE(CheckTurnOf(model, request).ok());
  request.generate.temperature = 1;
  EXPECT_TRUE(CheckTurnOf(model, request).ok());
  request.generate.temperature = 1.5;
  EXPECT_TRUE(CheckTurnOf(models::ModelInfo(), request).ok());
  const absl::Status status = CheckTurnOf(model, request);
  EXPECT_EQ(ReasonOf(status), Reason::TEMPERATURE_OUT_OF_RANGE);
  EXPECT_EQ(FieldOf(status), "temperature");
  EXPECT_EQ(status.message(), "temperature is 1.5; for model 'cool' it must be from 0 to 1");
}

TEST(TurnRules, TheConversationHasALimit) {
  TurnRequest request = Good();
  request.generate.messages.assign(kMessagesMax + 1, {models::Role::kUser, "x"});
  ExpectRefused(request, Reason::FIELD_OUT_OF_RANGE, "messages");
  request.generate.messages = {{models::Role::kUser, std::string(kConversationBytesMax + 1, 'x')}};
  ExpectRefused(request, Reason::REQUEST_TOO_LARGE, "messages");
  request = Good();
  request.generate.user.assign(kUserBytesMax + 1, 'u');
  ExpectRefused(request, Reason::FIELD_OUT_OF_RANGE, "user");
}

TEST(TurnRules, TheLastMessageIsTheUsersAndSaysSomething) {
  TurnRequest request = Good();
  request.generate.messages.clear();
  ExpectRefused(request, Reason::MESSAGES_EMPTY, "messages");
  request.generate.messages = {{models::Role::kUser, "hi"}, {models::Role::kAssistant, "hello"}};
  ExpectRefused(request, Reason::FIELD_INVALID, "messages[1].role");
  request.generate.messages = {{models::Role::kUser, " \n\t"}};
  ExpectRefused(request, Reason::FIELD_REQUIRED, "messages[0].content");
}

}  // namespace
}  // namespace aibackend::chat
