// What the program sends to say who calls, and what it says where that isn't enough.
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/client/cli_fixture.h"

namespace aibackend::client {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class CliCredentialsTest : public CliTest {
 protected:
  CliCredentialsTest() {
    backend_.admin.list_prices = [this](const auto&, auto&) { return answer_; };
  }
  // The header that `prices list` was sent with.
  std::string Sent(std::vector<std::string> arguments, const std::string& input = {},
                   const std::vector<std::string>& environment = {}) {
    arguments.insert(arguments.end(), {"prices", "list"});
    const auto result = Run(std::move(arguments), input, environment);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return backend_.admin.authorization();
  }

  grpc::Status answer_;
};

TEST_F(CliCredentialsTest, TheKeyComesFromTheEnvironmentAFileStdinOrAnOption) {
  EXPECT_EQ(Sent({}), "");
  EXPECT_EQ(Sent({}, "", {"AIB_API_KEY=aib_environment\n"}), "Bearer aib_environment");
  EXPECT_EQ(Sent({"--api-key-file", File("key", "aib_file\n")}), "Bearer aib_file");
  EXPECT_EQ(Sent({"--api-key-file", "-"}, "aib_stdin"), "Bearer aib_stdin");
  EXPECT_EQ(Sent({"--api-key", "aib_option"}), "Bearer aib_option");
  EXPECT_EQ(Sent({}, "", {"AIB_API_KEY="}), "");
}

TEST_F(CliCredentialsTest, WhatTheCommandLineSaysGoesBeforeTheEnvironment) {
  const std::vector<std::string> environment = {"AIB_API_KEY=aib_environment"};
  EXPECT_EQ(Sent({"--api-key-file", File("key", "aib_file")}, "", environment), "Bearer aib_file");
  EXPECT_EQ(Sent({"--api-key", "aib_option"}, "", environment), "Bearer aib_option");
}

TEST_F(CliCredentialsTest, AKeyFileThatCanNotBeReadIsWrongUsage) {
  const auto missing = Run({"prices", "list", "--api-key-file", "/nonexistent/key"});
  EXPECT_EQ(missing.exit_code, 2);
  EXPECT_THAT(missing.err, HasSubstr("/nonexistent/key: No such file or directory"));
  EXPECT_EQ(Run({"prices", "list", "--api-key-file", File("key", "")}).exit_code, 2);
  EXPECT_EQ(Run({"prices", "list", "--api-key-file", File("key", "\n")}).exit_code, 2);
  EXPECT_EQ(Run({"prices", "list", "--api-key-file", File("key", "a"), "--api-key", "b"}).exit_code,
            2);
}

TEST_F(CliCredentialsTest, AnErrorOfCredentialsSaysWhatToSet) {
  for (const auto& [code, reason, remedy] :
       std::vector<std::tuple<grpc::StatusCode, std::string, std::string>>{
           {grpc::StatusCode::UNAUTHENTICATED, "KEY_REQUIRED", ": set AIB_API_KEY\n"},
           {grpc::StatusCode::UNAUTHENTICATED, "KEY_INVALID",
            ": set AIB_API_KEY to a key that is in force\n"},
           {grpc::StatusCode::PERMISSION_DENIED, "SCOPE_MISSING",
            ": set AIB_API_KEY to a key with the scope\n"},
           {grpc::StatusCode::FAILED_PRECONDITION, "PRICE_UNKNOWN",
            ": set the price with aibackend prices set\n"}}) {
    answer_ = ContractError(code, reason, "no", "");
    const auto result = Run({"prices", "list"});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_THAT(result.err, HasSubstr("error: no (" + reason + ", "));
    EXPECT_THAT(result.err, EndsWith(remedy));
  }
}

TEST_F(CliCredentialsTest, ARefusalByAnotherThanTheServerSaysWhatToSet) {
  answer_ = {grpc::StatusCode::UNAUTHENTICATED, "401 of a proxy"};
  EXPECT_EQ(Run({"prices", "list"}).err, "error: 401 of a proxy (KEY_REQUIRED): set AIB_API_KEY\n");
}

TEST_F(CliCredentialsTest, ALimitSaysWhenToComeAgain) {
  for (const std::string reason : {"RATE_LIMITED", "QUOTA_EXCEEDED"}) {
    answer_ = ContractError(grpc::StatusCode::RESOURCE_EXHAUSTED, reason, "too much", "");
    EXPECT_EQ(Run({"prices", "list"}).err,
              "error: too much (" + reason + ", request req_1, retry after 1.5s)\n");
  }
}

TEST_F(CliCredentialsTest, NoKeyIsPrinted) {
  const std::vector<std::string> environment = {"AIB_API_KEY=aib_secret"};
  const auto help = Run({"--help"}, "", environment);
  EXPECT_THAT(help.out, HasSubstr("AIB_API_KEY"));
  EXPECT_THAT(help.out, Not(HasSubstr("aib_secret")));

  const auto misspelt = Run({"models", "--apikey", "aib_se-cret_1"});
  EXPECT_EQ(misspelt.exit_code, 2);
  EXPECT_THAT(misspelt.err, HasSubstr("aib_…"));
  EXPECT_THAT(misspelt.err, Not(HasSubstr("cret")));

  answer_ = {grpc::StatusCode::NOT_FOUND, "no key aib_se-cret_1"};
  EXPECT_THAT(Run({"prices", "list"}).err, HasSubstr("error: no key aib_… ("));

  const auto unreadable = Run({"prices", "list"}, "", {"AIB_API_KEY=aib_se\ncret"});
  EXPECT_EQ(unreadable.exit_code, 1);
  EXPECT_THAT(unreadable.out, IsEmpty());
  EXPECT_THAT(unreadable.err, HasSubstr("authorization must be printable ASCII; nothing was sent"));
  EXPECT_THAT(unreadable.err, Not(HasSubstr("cret")));
}

}  // namespace
}  // namespace aibackend::client
