#include "gateway/dialects/retrieval_choice.h"

#include <gtest/gtest.h>

namespace aibackend::gateway {
namespace {

struct Choice {
  std::optional<ApiError> refused;
  v1::ChatRequest chat;
};

Choice Choose(const std::string& model, httplib::Headers headers = {}) {
  Choice choice;
  choice.chat.set_model(model);
  httplib::Request request;
  request.headers = std::move(headers);
  choice.refused = ChooseRetrieval(request, choice.chat);
  return choice;
}

TEST(RetrievalChoiceTest, RetrievalIsOffUnlessAskedFor) {
  const Choice choice = Choose("docsy");
  EXPECT_FALSE(choice.refused);
  EXPECT_TRUE(choice.chat.retrieval().has_enabled());
  EXPECT_FALSE(choice.chat.retrieval().enabled());
  EXPECT_EQ(choice.chat.model(), "docsy");
}

TEST(RetrievalChoiceTest, ThePrefixOfTheModelSwitchesItOnAndIsTakenOff) {
  EXPECT_TRUE(Choose("docs/a/b").chat.retrieval().enabled());
  EXPECT_EQ(Choose("docs/a/b").chat.model(), "a/b");
  EXPECT_FALSE(Choose("docs/a/b").chat.retrieval().has_strict());
  EXPECT_TRUE(Choose("docs/").chat.retrieval().enabled());
  EXPECT_EQ(Choose("docs/").chat.model(), "");
}

TEST(RetrievalChoiceTest, TheHeaderWinsOverTheName) {
  const Choice off = Choose("docs/m", {{"X-Aibackend-Retrieval", "off"}});
  EXPECT_FALSE(off.chat.retrieval().enabled());
  EXPECT_EQ(off.chat.model(), "m");
  const Choice strict = Choose("m", {{"x-aibackend-retrieval", "strict"}});
  EXPECT_TRUE(strict.chat.retrieval().enabled());
  EXPECT_TRUE(strict.chat.retrieval().strict());
  const Choice on = Choose("m", {{"x-aibackend-retrieval", "on"}});
  EXPECT_TRUE(on.chat.retrieval().enabled());
  EXPECT_FALSE(on.chat.retrieval().has_strict());
}

TEST(RetrievalChoiceTest, TheCollectionSaysWhereAndNotWhether) {
  const Choice choice = Choose("m", {{"x-aibackend-collection", "law"}});
  EXPECT_EQ(choice.chat.retrieval().collection(), "law");
  EXPECT_FALSE(choice.chat.retrieval().enabled());
}

TEST(RetrievalChoiceTest, TheFilterSaysAmongWhatAndNotWhether) {
  const Choice choice = Choose("m", {{"x-aibackend-filter", R"({"lang":"en"})"}});
  EXPECT_EQ(choice.chat.retrieval().filter(), R"({"lang":"en"})");
  EXPECT_FALSE(choice.chat.retrieval().enabled());
}

TEST(RetrievalChoiceTest, WhatIsNoneOfTheThreeIsRefusedByTheHeadersName) {
  for (const char* value : {"yes", "ON", "on,off"}) {
    const Choice choice = Choose("m", {{"x-aibackend-retrieval", value}});
    ASSERT_TRUE(choice.refused) << value;
    EXPECT_EQ(choice.refused->http_status, 400);
    EXPECT_EQ(choice.refused->field, "x-aibackend-retrieval");
  }
}

TEST(RetrievalChoiceTest, AmbiguousAndUnprintableHeadersAreRefused) {
  EXPECT_TRUE(
      Choose("m", {{"x-aibackend-retrieval", "on"}, {"x-aibackend-retrieval", "off"}}).refused);
  const Choice choice = Choose("m", {{"x-aibackend-collection", "a\xff"}});
  ASSERT_TRUE(choice.refused);
  EXPECT_EQ(choice.refused->field, "x-aibackend-collection");
}

}  // namespace
}  // namespace aibackend::gateway
