#include "server/rpc/methods.h"

#include "gtest/gtest.h"

namespace aibackend::rpc {
namespace {

using access::Scope;

TEST(MethodScopes, EveryMethodOfTheContractHasOne) {
  const auto scopes = MethodScopes::OfContract();
  ASSERT_TRUE(scopes.ok()) << scopes.status();
  EXPECT_EQ(scopes->Of("Chat"), Scope::kChat);
  EXPECT_EQ(scopes->Of("UploadDocuments"), Scope::kDocumentsWrite);
  EXPECT_EQ(scopes->Of("CreateKey"), Scope::kAdmin);
  EXPECT_EQ(scopes->Of("ListModels"), Scope::kAny);
}

TEST(MethodScopes, AMethodThatIsNoneIsTheAdministrators) {
  EXPECT_EQ(MethodScopes::OfContract()->Of("Nothing"), Scope::kAdmin);
}

}  // namespace
}  // namespace aibackend::rpc
