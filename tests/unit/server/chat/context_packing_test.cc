#include "server/chat/context_packing.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "server/base/text.h"
#include "server/models/grounding_prompt.h"

namespace aibackend::chat {
namespace {

std::string Letters(size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += static_cast<char>('a' + text.size() * 7 % 26);
  return text;
}

class PackPassagesTest : public testing::Test {
 protected:
  models::Passage Piece(const std::string& id, size_t start, size_t end) const {
    models::Passage passage;
    passage.document_id = id;
    passage.start = start;
    passage.text = document_.substr(start, end - start);
    return passage;
  }
  std::string Packed(std::vector<models::Passage> found, int tokens_max) const {
    std::string told;
    int tokens = 0;
    for (const auto& passage : PackPassages(std::move(found), tokens_max)) {
      const size_t end = passage.start + passage.text.size();
      EXPECT_EQ(passage.text, document_.substr(passage.start, passage.text.size()));
      absl::StrAppend(&told, passage.document_id, " ", passage.start, "-", end, "; ");
      tokens += models::PassageTokens(passage);
    }
    EXPECT_LE(tokens, tokens_max);
    return told;
  }

  const std::string document_ = Letters(4000);
};

TEST_F(PackPassagesTest, TheBestThatFitInTheirOrder) {
  EXPECT_EQ(Packed({Piece("a", 0, 400), Piece("b", 0, 2000), Piece("c", 0, 400)}, 300),
            "a 0-400; c 0-400; ");
  EXPECT_EQ(Packed({}, 300), "");
}

TEST_F(PackPassagesTest, WhatABetterOneHoldsIsCutOff) {
  EXPECT_EQ(Packed({Piece("a", 1000, 2000), Piece("a", 1900, 3000), Piece("a", 200, 1100)}, 9999),
            "a 1000-2000; a 2000-3000; a 200-1000; ");
  EXPECT_EQ(Packed({Piece("a", 1000, 2000), Piece("a", 1200, 1800), Piece("a", 1000, 2000)}, 9999),
            "a 1000-2000; ");
  EXPECT_EQ(Packed({Piece("a", 1000, 1200), Piece("a", 900, 2000)}, 9999),
            "a 1000-1200; a 1200-2000; ");
  EXPECT_EQ(Packed({Piece("a", 0, 1000), Piece("b", 0, 1000)}, 9999), "a 0-1000; b 0-1000; ");
}

TEST(PackPassages, AFirstOneThatIsTooLongIsCutAtASentence) {
  models::Passage passage;
  passage.start = 5;
  for (int i = 0; i < 100; ++i) absl::StrAppend(&passage.text, "The turtle swims in the sea. ");
  const auto packed = PackPassages({passage}, 100);
  ASSERT_EQ(packed.size(), 1u);
  EXPECT_EQ(packed[0].start, 5u);
  EXPECT_EQ(packed[0].text, passage.text.substr(0, packed[0].text.size()));
  EXPECT_EQ(packed[0].text.substr(packed[0].text.size() - 4), "sea.");
  EXPECT_LE(models::PassageTokens(packed[0]), 100);
  EXPECT_GT(models::PassageTokens(packed[0]), 80);
}

TEST(PackPassages, ASentenceThatIsTooLongIsCutBetweenCharacters) {
  models::Passage passage;
  for (int i = 0; i < 1000; ++i) absl::StrAppend(&passage.text, "亀");
  const auto packed = PackPassages({passage}, 100);
  ASSERT_EQ(packed.size(), 1u);
  EXPECT_EQ(packed[0].text.size() % 3, 0u);
  EXPECT_LE(models::PassageTokens(packed[0]), 100);
  EXPECT_GT(models::PassageTokens(packed[0]), 90);
}

TEST(PassageTokensWithin, IsWhatPromptRuleAndAnswerLeave) {
  models::ModelInfo model;
  models::GenerateRequest request;
  request.messages.push_back({models::Role::kUser, std::string(4000, 'x')});
  EXPECT_EQ(PassageTokensWithin(model, request), kPassageTokensDefault);
  model.context_tokens = 8000;
  const int left = PassageTokensWithin(model, request);
  EXPECT_LT(left, 8000 - 1000 - kAnswerTokensReserved);
  EXPECT_GT(left, 8000 - 1000 - kAnswerTokensReserved - 300) << "the rule is short";
  model.answer_tokens_default = kAnswerTokensReserved + 500;
  EXPECT_EQ(PassageTokensWithin(model, request), left - 500);
  request.max_tokens = kAnswerTokensReserved - 24;
  EXPECT_EQ(PassageTokensWithin(model, request), left + 24);
  request.max_tokens = 60'000;
  EXPECT_EQ(PassageTokensWithin(model, request), kPassageTokensMin);
}

}  // namespace
}  // namespace aibackend::chat
