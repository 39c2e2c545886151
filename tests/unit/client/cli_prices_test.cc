// aibackend prices
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/client/cli_fixture.h"

namespace aibackend::client {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

using CliPricesTest = CliTest;

TEST_F(CliPricesTest, APriceIsSentToTheNanoDollar) {
  v1::SetPriceRequest seen;
  backend_.admin.set_price = [&](const v1::SetPriceRequest& request, v1::Price& price) {
    seen = request;
    price.set_model(request.model());
    price.set_version(7);
    price.set_input_nano_usd_per_million(request.input_nano_usd_per_million());
    price.set_output_nano_usd_per_million(request.output_nano_usd_per_million());
    price.set_source("api");
    return grpc::Status::OK;
  };
  const auto result = Run({"prices", "set", "gpt-4o-mini", "--input", "0.15", "--output", "0.60"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(seen.model(), "gpt-4o-mini");
  EXPECT_EQ(seen.input_nano_usd_per_million(), 150'000'000);
  EXPECT_EQ(seen.output_nano_usd_per_million(), 600'000'000);
  EXPECT_FALSE(seen.has_cached_input_nano_usd_per_million());
  EXPECT_FALSE(seen.has_reasoning_nano_usd_per_million());
  // What isn't set costs as much as the input and the output do.
  EXPECT_THAT(result.out, HasSubstr("gpt-4o-mini  7        -      $0.15    $0.15     $0.60     "
                                    "$0.60        api\n"));

  EXPECT_EQ(Run({"prices", "set", "m", "--input", "0.000000001", "--output", "0", "--cached-input",
                 "0.075", "--reasoning", "1"})
                .exit_code,
            0);
  EXPECT_EQ(seen.input_nano_usd_per_million(), 1);
  EXPECT_TRUE(seen.has_output_nano_usd_per_million());
  EXPECT_EQ(seen.output_nano_usd_per_million(), 0);
  EXPECT_EQ(seen.cached_input_nano_usd_per_million(), 75'000'000);
  EXPECT_EQ(seen.reasoning_nano_usd_per_million(), 1'000'000'000);
}

TEST_F(CliPricesTest, WhatIsNoPriceIsWrongUsageAndIsNotSent) {
  const auto result = Run({"prices", "set", "m", "--input", "0,15", "--output", "0.60"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("--input: \"0,15\" is no amount of US dollars"));
  EXPECT_EQ(Run({"prices", "set", "m", "--input", "0.15"}).exit_code, 2);
}

TEST_F(CliPricesTest, PricesAreListedWithTheirHistory) {
  v1::ListPricesRequest seen;
  backend_.admin.list_prices = [&](const v1::ListPricesRequest& request,
                                   v1::ListPricesResponse& response) {
    seen = request;
    for (const int version : {2, 1}) {
      auto& price = *response.add_prices();
      price.set_model("m");
      price.set_version(version);
      price.set_cached_input_nano_usd_per_million(1);
    }
    return grpc::Status::OK;
  };
  const auto result = Run({"prices", "list", "m", "--history"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(seen.model(), "m");
  EXPECT_TRUE(seen.history());
  EXPECT_THAT(result.out, StartsWith("MODEL  VERSION  SINCE  INPUT/M  CACHED/M"));
  EXPECT_THAT(result.out, HasSubstr("m      2        -      $0.00    $0.000000001  $0.00"));
  EXPECT_THAT(result.out, HasSubstr("\nm      1 "));

  EXPECT_THAT(Run({"prices", "list", "--json"}).out, HasSubstr("\"version\": \"2\""));
  EXPECT_FALSE(seen.history());
}

}  // namespace
}  // namespace aibackend::client
