#include "server/rpc/convert_chat.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"

namespace aibackend::rpc {
namespace {

absl::Status TurnWithExtra(const std::string& extra) {
  v1::ChatRequest request;
  request.set_prompt("hi");
  request.set_extra(extra);
  return ToTurn(request).status();
}

TEST(ChatExtra, WhatTheContractKnowsOrWouldBePaidSeveralTimesIsRefused) {
  EXPECT_TRUE(TurnWithExtra(R"({"logit_bias":{"1":2},"max_completion_tokens":5})").ok());
  for (const char* name : {"n", "messages", "max_tokens", "stream"}) {
    const absl::Status status = TurnWithExtra(absl::StrCat("{\"top_k\":1,\"", name, "\":5}"));
    EXPECT_EQ(ReasonOf(status), Reason::FIELD_INVALID) << name;
    EXPECT_EQ(FieldOf(status), absl::StrCat("extra.", name)) << status;
  }
}

}  // namespace
}  // namespace aibackend::rpc
