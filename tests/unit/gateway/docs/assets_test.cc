#include "gateway/docs/assets.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "gateway/docs/embedded.h"
#include "tests/unit/gateway/fake_exchange.h"

namespace aibackend::gateway {
namespace {

TEST(DocsAssets, ThePageNeedsNothingOfAnotherHost) {
  const auto assets = DocsAssets();
  const std::string page(assets.at("/docs").content);
  EXPECT_FALSE(absl::StrContains(page, "//")) << "a link to another host";
  for (const char* part : {"/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "/docs/docs.js",
                           "/docs/favicon.png"}) {
    EXPECT_TRUE(absl::StrContains(page, part)) << part;
    EXPECT_FALSE(assets.at(part).content.empty()) << part;
  }
  EXPECT_GT(EmbeddedSwaggerJs().size(), 500'000u);
}

TEST(DocsAssets, EachIsOfItsType) {
  const auto assets = DocsAssets();
  EXPECT_EQ(assets.at("/docs").content_type, "text/html; charset=utf-8");
  EXPECT_EQ(assets.at("/docs/").content_type, "text/html; charset=utf-8");
  EXPECT_EQ(assets.at("/docs/docs.js").content_type, "text/javascript; charset=utf-8");
  EXPECT_EQ(assets.at("/docs/swagger-ui-bundle.js").content_type, "text/javascript; charset=utf-8");
  EXPECT_EQ(assets.at("/docs/favicon.png").content_type, "image/png");
}

TEST(DocsAssets, AClientThatHasItIsNotSentItAgain) {
  const auto assets = DocsAssets();
  const Asset& css = assets.at("/docs/swagger-ui.css");
  FakeExchange first;
  RespondAsset(first, css);
  EXPECT_EQ(first.answer().status, 200);
  EXPECT_EQ(first.answer().Header("Content-Type"), "text/css; charset=utf-8");
  EXPECT_TRUE(absl::StrContains(first.answer().Header("Content-Security-Policy"), "'self'"));

  FakeExchange again;
  again.sent.headers.emplace("If-None-Match", first.answer().Header("ETag"));
  RespondAsset(again, css);
  EXPECT_EQ(again.answer().status, 304);
  EXPECT_EQ(again.answer().body, "");

  FakeExchange other;
  other.sent.headers.emplace("If-None-Match", "\"0000000000000000\"");
  RespondAsset(other, css);
  EXPECT_EQ(other.answer().status, 200);
}

}  // namespace
}  // namespace aibackend::gateway
