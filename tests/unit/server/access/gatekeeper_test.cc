#include "server/access/gatekeeper.h"

#include "gtest/gtest.h"
#include "server/base/status.h"

namespace aibackend::access {
namespace {

constexpr char kKey[] = "a-key-of-the-test";

TEST(Gatekeeper, WithoutAKeyEverybodyMayCall) {
  const Gatekeeper open("");
  EXPECT_TRUE(open.Admit({}).ok());
  EXPECT_TRUE(open.Admit({"Bearer whatever", "else"}).ok());
}

TEST(Gatekeeper, TheKeyMayComeEitherWay) {
  const Gatekeeper keeper(kKey);
  EXPECT_TRUE(keeper.Admit({"Bearer a-key-of-the-test", ""}).ok());
  EXPECT_TRUE(keeper.Admit({"bearer  a-key-of-the-test ", ""}).ok());
  EXPECT_TRUE(keeper.Admit({"", kKey}).ok());
  EXPECT_TRUE(keeper.Admit({"Bearer a-key-of-the-test", kKey}).ok());
}

TEST(Gatekeeper, AMissingKeyAndAWrongOneAreToldApartAndNeitherIsRepeated) {
  const Gatekeeper keeper(kKey);
  EXPECT_EQ(ReasonOf(keeper.Admit({})), Reason::KEY_REQUIRED);
  EXPECT_EQ(ReasonOf(keeper.Admit({"Bearer ", ""})), Reason::KEY_REQUIRED);
  for (const Credentials& wrong :
       {Credentials{"Bearer a-key-of-the-tesT", ""}, Credentials{"Bearer a-key-of-the-test2", ""},
        Credentials{"Basic a-key-of-the-test", ""}, Credentials{"", "a-key"},
        Credentials{"Bearer wrong", kKey}, Credentials{"Bearer a-key-of-the-test", "wrong"}}) {
    const absl::Status refused = keeper.Admit(wrong);
    EXPECT_EQ(ReasonOf(refused), Reason::KEY_INVALID);
    EXPECT_EQ(refused.message().find("wrong"), absl::string_view::npos);
  }
}

}  // namespace
}  // namespace aibackend::access
