#include "server/rpc/upload_assembly.h"

#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/status.h"

namespace aibackend::rpc {
namespace {

v1::UploadDocumentsRequest Begin(const std::string& id, const std::string& content = {}) {
  v1::UploadDocumentsRequest message;
  message.mutable_document()->set_id(id);
  message.mutable_document()->set_content(content);
  return message;
}

v1::UploadDocumentsRequest More(std::string content) {
  v1::UploadDocumentsRequest message;
  message.set_content(std::move(content));
  return message;
}

TEST(UploadAssemblyTest, ADocumentIsWholeWhenTheNextBeginsOrTheStreamEnds) {
  UploadAssembly assembly;
  ASSERT_TRUE(assembly.Take(Begin("a", "one ")).ok());
  ASSERT_TRUE(assembly.Take(More("two")).ok());
  EXPECT_TRUE(assembly.TakeGroup().empty());
  ASSERT_TRUE(assembly.Take(Begin("b")).ok());
  const auto first = assembly.TakeGroup();
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(first[0].document.content(), "one two");
  ASSERT_TRUE(assembly.End().ok());
  const auto second = assembly.TakeGroup();
  ASSERT_EQ(second.size(), 1U);
  EXPECT_EQ(second[0].document.id(), "b");
  EXPECT_EQ(second[0].ordinal, 1U);
}

TEST(UploadAssemblyTest, AFileOfJustTheLimitIsKeptAndOneByteMoreIsNot) {
  UploadAssembly assembly;
  ASSERT_TRUE(assembly.Take(Begin("fits", std::string(1, 'x'))).ok());
  ASSERT_TRUE(assembly.Take(More(std::string(kUploadFileBytesMax - 1, 'x'))).ok());
  ASSERT_TRUE(assembly.Take(Begin("large", std::string(1, 'x'))).ok());
  ASSERT_TRUE(assembly.Take(More(std::string(kUploadFileBytesMax, 'x'))).ok());
  ASSERT_TRUE(assembly.Take(More("and more that nobody keeps")).ok());
  ASSERT_TRUE(assembly.End().ok());
  const auto group = assembly.TakeGroup();
  ASSERT_EQ(group.size(), 2U);
  EXPECT_TRUE(group[0].status.ok());
  EXPECT_EQ(group[0].document.content().size(), kUploadFileBytesMax);
  EXPECT_EQ(ReasonOf(group[1].status), Reason::REQUEST_TOO_LARGE);
  EXPECT_EQ(FieldOf(group[1].status), "documents[1].content");
  EXPECT_TRUE(group[1].document.content().empty());
}

TEST(UploadAssemblyTest, AGroupIsFullByItsDocumentsOrItsBytes) {
  UploadAssembly assembly;
  for (size_t i = 0; i < kUploadGroupDocumentsMax; ++i) {
    ASSERT_TRUE(assembly.Take(Begin("small")).ok());
    EXPECT_FALSE(assembly.IsGroupFull());
  }
  ASSERT_TRUE(assembly.Take(Begin("large", std::string(kUploadGroupBytesMax, 'x'))).ok());
  EXPECT_TRUE(assembly.IsGroupFull());
  EXPECT_EQ(assembly.TakeGroup().size(), kUploadGroupDocumentsMax);
  EXPECT_FALSE(assembly.IsGroupFull());
  ASSERT_TRUE(assembly.Take(Begin("next")).ok());
  EXPECT_TRUE(assembly.IsGroupFull());
}

TEST(UploadAssemblyTest, WhatIsWholeStaysWhenTheStreamGoesWrong) {
  UploadAssembly assembly;
  ASSERT_TRUE(assembly.Take(Begin("a")).ok());
  ASSERT_TRUE(assembly.Take(Begin("b")).ok());
  v1::UploadDocumentsRequest late;
  late.set_collection("late");
  EXPECT_EQ(FieldOf(assembly.Take(late)), "collection");
  EXPECT_EQ(assembly.TakeGroup().size(), 1U);
}

TEST(UploadAssemblyTest, OneDocumentTooManyIsRefusedByTheLimit) {
  UploadAssembly assembly;
  for (size_t i = 0; i < kUploadDocumentsMax; ++i) {
    ASSERT_TRUE(assembly.Take(Begin("x")).ok());
    if (assembly.IsGroupFull()) assembly.TakeGroup();
  }
  const absl::Status refused = assembly.Take(Begin("x"));
  EXPECT_EQ(ReasonOf(refused), Reason::FIELD_OUT_OF_RANGE);
  EXPECT_THAT(std::string(refused.message()), ::testing::HasSubstr("10000"));
}

}  // namespace
}  // namespace aibackend::rpc
