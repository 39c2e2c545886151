#include "server/storage/page_cursor.h"

#include "absl/strings/escaping.h"
#include "gtest/gtest.h"
#include "server/base/status.h"

namespace aibackend::storage {
namespace {

TEST(PageCursor, AnIdOfAnyTextComesBack) {
  for (const std::string id : {"req_01hf", "with space", "日本語"}) {
    const auto cursor = DecodePageToken(EncodePageToken({1'700'000'000'123'456, id}));
    ASSERT_TRUE(cursor.ok()) << cursor.status();
    EXPECT_EQ(cursor->at_us, 1'700'000'000'123'456);
    EXPECT_EQ(cursor->id, id);
  }
}

TEST(PageCursor, WhatWeDidntMakeIsRefusedByName) {
  for (const std::string& token :
       {std::string("garbage"), std::string("%%%"), std::string(" "), std::string("\xff\x00", 2),
        std::string(100'000, 'A'), absl::WebSafeBase64Escape("12"),
        absl::WebSafeBase64Escape("12 "), absl::WebSafeBase64Escape("x y"),
        absl::WebSafeBase64Escape("99999999999999999999 id"),
        absl::WebSafeBase64Escape("12 \xff")}) {
    const auto cursor = DecodePageToken(token);
    EXPECT_EQ(ReasonOf(cursor.status()), Reason::PAGE_TOKEN_INVALID) << token.substr(0, 40);
    EXPECT_EQ(FieldOf(cursor.status()), "page_token");
  }
}

}  // namespace
}  // namespace aibackend::storage
