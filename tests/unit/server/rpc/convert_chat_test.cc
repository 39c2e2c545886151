#include "server/rpc/convert_chat.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/base/status.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/temp_folder.h"

namespace aibackend::rpc {
namespace {

absl::Status TurnWithExtra(const std::string& extra) {
  v1::ChatRequest request;
  request.set_prompt("hi");
  request.set_extra(extra);
  return ToTurn(request, "default").status();
}

TEST(ChatExtra, WhatTheContractKnowsOrWouldBePaidSeveralTimesIsRefused) {
  EXPECT_TRUE(TurnWithExtra(R"({"logit_bias":{"1":2},"max_completion_tokens":5})").ok());
  for (const char* name : {"n", "best_of", "messages", "max_tokens", "n_predict", "stream"}) {
    const absl::Status status = TurnWithExtra(absl::StrCat("{\"top_k\":1,\"", name, "\":5}"));
    EXPECT_EQ(ReasonOf(status), Reason::FIELD_INVALID) << name;
    EXPECT_EQ(FieldOf(status), absl::StrCat("extra.", name)) << status;
  }
}

// What is reserved of a quota goes by max_tokens.
TEST(ChatExtra, MaxCompletionTokensIsMaxTokensByAnotherName) {
  v1::ChatRequest request;
  request.set_prompt("hello");
  request.set_extra(R"({"max_completion_tokens":5})");
  const auto turn = ToTurn(request, "default");
  ASSERT_TRUE(turn.ok()) << turn.status();
  EXPECT_EQ(turn->generate.max_tokens, 5);
  request.set_max_tokens(5);
  EXPECT_TRUE(ToTurn(request, "default").ok());
  request.set_max_tokens(1);
  EXPECT_EQ(FieldOf(ToTurn(request, "default").status()), "extra.max_completion_tokens");
  for (const char* value : {"-1", "1.5", "\"5\"", "null", "99999999999"}) {
    const absl::Status status =
        TurnWithExtra(absl::StrCat("{\"max_completion_tokens\":", value, "}"));
    EXPECT_EQ(FieldOf(status), "extra.max_completion_tokens") << value;
  }
}

// It goes into the upstream's request as it is: nothing at all would make that malformed.
TEST(ToTurn, ARawPartIsAJsonObjectAndNotNothing) {
  v1::ChatRequest request;
  v1::ContentPart* part = request.add_messages()->add_parts();
  request.mutable_messages(0)->set_role("user");
  for (const char* raw : {"", " ", "[]", "{"}) {
    part->set_raw(raw);
    const absl::Status status = ToTurn(request, "default").status();
    EXPECT_EQ(ReasonOf(status), Reason::FIELD_INVALID) << "'" << raw << "' " << status;
  }
  part->set_raw(R"({"type":"file"})");
  EXPECT_TRUE(ToTurn(request, "default").ok());
}

TEST(ToTurn, AToolsParametersMayBeMissing) {
  v1::ChatRequest request;
  request.set_prompt("Dig.");
  request.add_tools()->set_name("dig");
  EXPECT_TRUE(ToTurn(request, "default").ok());
  request.mutable_tools(0)->set_parameters("[]");
  EXPECT_EQ(ReasonOf(ToTurn(request, "default").status()), Reason::FIELD_INVALID);
}

TEST(Price, WithoutTokensItIsNothingWhateverTheModelCosts) {
  TempFolder folder;
  const auto database = *storage::OpenSqlite(folder.File("test.sqlite"));
  FakeClock clock;
  const auto prices = *usage::PriceBook::Open(*database, clock, {});
  usage::RequestRow row;
  row.model = "unpriced";
  Price(*prices, row);
  EXPECT_FALSE(row.price_unknown);
  row.prompt_tokens = 1;
  Price(*prices, row);
  EXPECT_TRUE(row.price_unknown);
}

}  // namespace
}  // namespace aibackend::rpc
