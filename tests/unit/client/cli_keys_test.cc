// aibackend keys, limits, quota
#include <atomic>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/client/cli_fixture.h"

namespace aibackend::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

class CliKeysTest : public CliTest {
 protected:
  FakeAdmin& admin() { return backend_.admin; }
};

TEST_F(CliKeysTest, AKeyIsMadeWithAllThatIsAskedAndPrintedAlone) {
  v1::CreateKeyRequest seen;
  admin().create_key = [&](const v1::CreateKeyRequest& request, v1::CreateKeyResponse& response) {
    seen = request;
    response.set_id("key_1");
    response.set_key("aib_secret");
    return grpc::Status::OK;
  };
  const auto result = Run({"keys",
                           "create",
                           "--name",
                           "ci",
                           "--tenant",
                           "acme",
                           "--user",
                           "u1",
                           "--scope",
                           "chat",
                           "--scope",
                           "jobs",
                           "--rpm",
                           "60",
                           "--tpm",
                           "9000",
                           "--tokens-per-day",
                           "100000",
                           "--tokens-per-month",
                           "2000000",
                           "--usd-per-day",
                           "1.50",
                           "--usd-per-month",
                           "0.000000001",
                           "--concurrent",
                           "4",
                           "--expires-in",
                           "30d"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "aib_secret\n");
  EXPECT_EQ(result.err, "key_1: the key is shown this once; keep it\n");
  EXPECT_EQ(seen.name(), "ci");
  EXPECT_EQ(seen.tenant_id(), "acme");
  EXPECT_EQ(seen.user_id(), "u1");
  EXPECT_THAT(seen.scopes(), ElementsAre("chat", "jobs"));
  EXPECT_EQ(seen.limits().requests_per_minute(), 60);
  EXPECT_EQ(seen.limits().tokens_per_minute(), 9000);
  EXPECT_EQ(seen.limits().tokens_per_day(), 100'000);
  EXPECT_EQ(seen.limits().tokens_per_month(), 2'000'000);
  EXPECT_EQ(seen.limits().nano_usd_per_day(), 1'500'000'000);
  EXPECT_EQ(seen.limits().nano_usd_per_month(), 1);
  EXPECT_EQ(seen.limits().concurrent(), 4);
  EXPECT_EQ(seen.expires_in_seconds(), 30 * 24 * 3600);
  EXPECT_FALSE(seen.has_expires_at());
}

TEST_F(CliKeysTest, AKeyWithoutLimitsOrExpiryHasNone) {
  admin().create_key = [](const v1::CreateKeyRequest& request, v1::CreateKeyResponse& response) {
    EXPECT_FALSE(request.has_limits());
    EXPECT_FALSE(request.has_expires_in_seconds());
    EXPECT_THAT(request.scopes(), IsEmpty());
    response.set_key("aib_secret");
    return grpc::Status::OK;
  };
  const auto result = Run({"keys", "create", "--name", "ci", "--json"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("\"key\": \"aib_secret\""));
  EXPECT_THAT(result.err, IsEmpty());
}

TEST_F(CliKeysTest, AnExpiryThatIsNamedTwiceAndALimitThatIsNoneAreWrongUsage) {
  for (const std::vector<std::string>& wrong :
       std::vector<std::vector<std::string>>{{"--expires-in", "30d", "--expires-at", "2030-01-01"},
                                             {"--expires-in", "30"},
                                             {"--rpm", "many"},
                                             {"--rpm=-1"},
                                             {"--concurrent", "2147483648"},
                                             {"--usd-per-day", "1,50"}}) {
    std::vector<std::string> command = {"keys", "create", "--name", "ci"};
    command.insert(command.end(), wrong.begin(), wrong.end());
    const auto result = Run(command);
    EXPECT_EQ(result.exit_code, 2) << wrong[0];
    EXPECT_THAT(result.err, HasSubstr(wrong[0].substr(0, 5)));
  }
  EXPECT_EQ(Run({"keys", "create"}).exit_code, 2);
}

TEST_F(CliKeysTest, KeysAreListedWithTheirState) {
  admin().list_keys = [](const v1::ListKeysRequest& request, v1::ListKeysResponse& response) {
    EXPECT_EQ(request.tenant_id(), "acme");
    EXPECT_EQ(request.page_size(), 3 - std::stoi("0" + request.page_token()));
    if (request.page_token().empty()) {
      auto& revoked = *response.add_keys();
      revoked.set_id("key_3");
      revoked.mutable_revoked_at()->set_seconds(1'700'000'000);
      auto& expired = *response.add_keys();
      expired.set_id("key_2");
      expired.mutable_expires_at()->set_seconds(1'700'000'000);
      response.set_next_page_token("2");
    } else {
      auto& key = *response.add_keys();
      key.set_id("key_1");
      key.set_prefix("aib_4f");
      key.set_tenant_id("acme");
      key.add_scopes("chat");
      key.add_scopes("usage");
      key.set_name("ci");
    }
    return grpc::Status::OK;
  };
  const auto result = Run({"keys", "list", "--tenant", "acme", "--limit", "3"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out,
              StartsWith("ID     KEY      STATE     TENANT  USER  SCOPES      EXPIRES"));
  EXPECT_THAT(result.out, HasSubstr("key_3  …        revoked "));
  EXPECT_THAT(result.out, HasSubstr("key_2  …        expired "));
  EXPECT_THAT(result.out, HasSubstr("key_1  aib_4f…  in force  acme    -     chat,usage  -"));
}

TEST_F(CliKeysTest, AKeyIsShownWithItsLimits) {
  admin().get_key = [](const v1::GetKeyRequest& request, v1::ApiKey& key) {
    EXPECT_EQ(request.id(), "key_1");
    key.set_id("key_1");
    key.mutable_limits()->set_requests_per_minute(60);
    key.mutable_limits()->set_nano_usd_per_month(12'500'000'000);
    key.set_replaced_by("key_2");
    return grpc::Status::OK;
  };
  const auto result = Run({"keys", "show", "key_1"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("limits       60 requests a minute, $12.50 a month\n"));
  EXPECT_THAT(result.out, HasSubstr("replaced by  key_2\n"));
  EXPECT_THAT(Run({"keys", "show", "key_1", "--json"}).out, HasSubstr("\"id\": \"key_1\""));
}

TEST_F(CliKeysTest, AnUpdateChangesTheLimitsItNamesAndKeepsTheOthers) {
  admin().get_key = [](const v1::GetKeyRequest&, v1::ApiKey& key) {
    key.mutable_limits()->set_requests_per_minute(60);
    key.mutable_limits()->set_tokens_per_day(1000);
    key.mutable_limits()->set_concurrent(2);
    return grpc::Status::OK;
  };
  v1::UpdateKeyRequest seen;
  admin().update_key = [&](const v1::UpdateKeyRequest& request, v1::ApiKey&) {
    seen = request;
    return grpc::Status::OK;
  };
  const auto result = Run({"keys", "update", "key_1", "--rpm", "120", "--tokens-per-day", "none"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(seen.id(), "key_1");
  EXPECT_EQ(seen.limits().requests_per_minute(), 120);
  EXPECT_FALSE(seen.limits().has_tokens_per_day());
  EXPECT_EQ(seen.limits().concurrent(), 2);
  EXPECT_FALSE(seen.has_name());
  EXPECT_FALSE(seen.has_expires_at());
}

TEST_F(CliKeysTest, AnUpdateOfNameAndExpiryLeavesTheLimitsToTheServer) {
  v1::UpdateKeyRequest seen;
  admin().update_key = [&](const v1::UpdateKeyRequest& request, v1::ApiKey&) {
    seen = request;
    return grpc::Status::OK;
  };
  const int64_t before = absl::ToUnixSeconds(absl::Now());
  const auto result = Run({"keys", "update", "key_1", "--name", "new", "--expires-in", "1h"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(seen.name(), "new");
  EXPECT_FALSE(seen.has_limits());
  EXPECT_GE(seen.expires_at().seconds(), before + 3600);
  EXPECT_LE(seen.expires_at().seconds(), absl::ToUnixSeconds(absl::Now()) + 3600);

  ASSERT_EQ(Run({"keys", "update", "key_1", "--expires-at", "2030-01-01"}).exit_code, 0);
  EXPECT_EQ(seen.expires_at().seconds(), 1'893'456'000);
  EXPECT_EQ(Run({"keys", "update", "key_1"}).exit_code, 2);
}

TEST_F(CliKeysTest, AKeyIsRotatedAndRevoked) {
  std::atomic<int64_t> overlap = -1;
  admin().rotate_key = [&](const v1::RotateKeyRequest& request, v1::CreateKeyResponse& response) {
    EXPECT_EQ(request.id(), "key_1");
    overlap = request.has_overlap_seconds() ? request.overlap_seconds() : -1;
    response.set_id("key_2");
    response.set_key("aib_next");
    return grpc::Status::OK;
  };
  EXPECT_EQ(Run({"keys", "rotate", "key_1"}).out, "aib_next\n");
  EXPECT_EQ(overlap, -1);
  EXPECT_EQ(Run({"keys", "rotate", "key_1", "--overlap", "24h"}).out, "aib_next\n");
  EXPECT_EQ(overlap, 86'400);
  EXPECT_EQ(Run({"keys", "rotate", "key_1", "--overlap", "0"}).exit_code, 0);
  EXPECT_EQ(overlap, 0);

  std::atomic<bool> revoked = true;
  admin().revoke_key = [&](const v1::RevokeKeyRequest& request, v1::RevokeKeyResponse& response) {
    EXPECT_EQ(request.id(), "key_1");
    response.set_revoked(revoked.exchange(false));
    return grpc::Status::OK;
  };
  EXPECT_EQ(Run({"keys", "revoke", "key_1"}).out, "revoked key_1\n");
  EXPECT_EQ(Run({"keys", "revoke", "key_1"}).out, "key_1 was revoked before\n");
}

TEST_F(CliKeysTest, LimitsOfATenantOrAUserAreSetAsAWhole) {
  v1::SubjectLimits seen;
  admin().set_limits = [&](const v1::SubjectLimits& request, v1::SubjectLimits& response) {
    seen = request;
    response = request;
    return grpc::Status::OK;
  };
  const auto result =
      Run({"limits", "set", "--tenant", "acme", "--user", "u1", "--usd-per-day", "2"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "TENANT  USER  LIMITS\nacme    u1    $2.00 a day\n");
  EXPECT_EQ(seen.limits().nano_usd_per_day(), 2'000'000'000);

  EXPECT_EQ(Run({"limits", "set", "--tenant", "acme", "--clear"}).exit_code, 0);
  EXPECT_EQ(seen.user_id(), "");
  EXPECT_FALSE(seen.has_limits());

  // Not by mistake: nothing named would clear all.
  EXPECT_EQ(Run({"limits", "set", "--tenant", "acme"}).exit_code, 2);
  EXPECT_EQ(Run({"limits", "set", "--tenant", "acme", "--rpm", "1", "--clear"}).exit_code, 2);
}

TEST_F(CliKeysTest, LimitsAreListed) {
  admin().list_limits = [](const v1::ListLimitsRequest& request, v1::ListLimitsResponse& response) {
    EXPECT_EQ(request.tenant_id(), "acme");
    auto& limits = *response.add_limits();
    limits.set_tenant_id("acme");
    limits.mutable_limits()->set_concurrent(0);
    return grpc::Status::OK;
  };
  EXPECT_EQ(Run({"limits", "list", "--tenant", "acme"}).out,
            "TENANT  USER  LIMITS\nacme    -     0 requests at once\n");
}

TEST_F(CliKeysTest, AQuotaShowsWhatIsUsedReservedAndLeft) {
  v1::GetQuotaRequest seen;
  admin().get_quota = [&](const v1::GetQuotaRequest& request, v1::Quota& quota) {
    seen = request;
    quota.set_tenant_id("acme");
    quota.set_user_id("u1");
    quota.set_concurrent(2);
    quota.mutable_limits()->set_tokens_per_day(1000);
    auto& day = *quota.add_windows();
    day.set_window("day");
    day.set_used_tokens(120);
    day.set_reserved_tokens(30);
    day.set_tokens_limit(1000);
    day.set_used_nano_usd(12'300);
    return grpc::Status::OK;
  };
  const auto result = Run({"quota", "--user", "u1", "--tenant", "acme"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(seen.user_id(), "u1");
  EXPECT_EQ(seen.tenant_id(), "acme");
  EXPECT_THAT(result.out, StartsWith("user u1 of tenant acme: 2 requests under way\n"
                                     "limits: 1000 tokens a day\n"));
  EXPECT_THAT(result.out, HasSubstr("day     -     120     30        1000   $0.000012300  "
                                    "$0.000000000  -\n"));

  EXPECT_EQ(Run({"quota", "--key", "key_1"}).exit_code, 0);
  EXPECT_EQ(seen.key_id(), "key_1");
  EXPECT_EQ(Run({"quota", "--key", "key_1", "--user", "u1"}).exit_code, 2);
}

}  // namespace
}  // namespace aibackend::client
