#include "server/rpc/request_detail.h"

#include "gtest/gtest.h"

namespace aibackend::rpc {
namespace {

TEST(RequestDetail, ComesBackAsItWas) {
  chat::TurnResult result;
  result.timeline = {{"retrieved", absl::Microseconds(1500), "hybrid, 2 passages"},
                     {"answered", absl::Milliseconds(20), "\xff"}};
  result.passages = {"a#0", "b#3"};
  result.confidence = 0.5;
  v1::RequestView view;
  FillDetail(DetailOf(result), &view);
  ASSERT_EQ(view.timeline_size(), 2);
  EXPECT_EQ(view.timeline(0).name(), "retrieved");
  EXPECT_EQ(view.timeline(0).at_ms(), 1.5);
  EXPECT_EQ(view.timeline(0).note(), "hybrid, 2 passages");
  EXPECT_EQ(view.timeline(1).note(), "\xEF\xBF\xBD");  // the contract's strings are UTF-8
  EXPECT_EQ(view.passages_size(), 2);
  EXPECT_EQ(view.passages(1), "b#3");
  EXPECT_EQ(view.confidence(), 0.5);
}

TEST(RequestDetail, WhatCannotBeReadIsLeftOut) {
  for (const char* bad : {"", "[]", "{", R"({"timeline":7,"passages":{"a":1},"confidence":"x"})",
                          R"({"timeline":[["a"],["a","b","c"],7,[1,2,3]],"passages":[1,null]})"}) {
    v1::RequestView view;
    FillDetail(bad, &view);
    EXPECT_EQ(view.timeline_size(), 0) << bad;
    EXPECT_EQ(view.passages_size(), 0) << bad;
    EXPECT_EQ(view.confidence(), 0) << bad;
  }
}

}  // namespace
}  // namespace aibackend::rpc
