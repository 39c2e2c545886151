#include "server/chat/citation_check.h"

#include "gtest/gtest.h"

namespace aibackend::chat {
namespace {

models::Grounding OnePassage() {
  models::Grounding grounding;
  grounding.passages.push_back(
      {"doc", "doc#1", "Title", "source", "The turtle swims. It rests.", 100, 1.0});
  return grounding;
}

models::Citation Cite(std::string document, std::string chunk, size_t start, std::string text) {
  const size_t end = start + text.size();
  return {std::move(document), std::move(chunk), "Title", "source", std::move(text), start, end};
}

TEST(CitationCheck, AVerbatimCitationStays) {
  std::vector<models::Citation> citations = {Cite("doc", "doc#1", 100, "The turtle swims."),
                                             Cite("doc", "doc#1", 118, "It rests.")};
  EXPECT_EQ(DropUnverifiedCitations(OnePassage(), citations), 0);
  EXPECT_EQ(citations.size(), 2u);
}

TEST(CitationCheck, AnInventedQuoteIdOrRangeIsDropped) {
  auto wrong_end = Cite("doc", "doc#1", 100, "The turtle swims.");
  wrong_end.end = 5000;
  auto backwards = Cite("doc", "doc#1", 100, "The turtle swims.");
  backwards.end = 3;
  std::vector<models::Citation> citations = {Cite("doc", "doc#1", 100, "The turtle flies."),
                                             Cite("other", "doc#1", 100, "The turtle swims."),
                                             Cite("doc", "doc#9", 100, "The turtle swims."),
                                             Cite("doc", "doc#1", 101, "The turtle swims."),
                                             Cite("doc", "doc#1", 0, "The turtle swims."),
                                             wrong_end,
                                             backwards,
                                             Cite("doc", "doc#1", 120, "rests. And more.")};
  EXPECT_EQ(DropUnverifiedCitations(OnePassage(), citations), 8);
  EXPECT_TRUE(citations.empty());
}

TEST(CitationCheck, WithoutGroundingNothingCanBeCited) {
  std::vector<models::Citation> citations = {Cite("doc", "doc#1", 100, "The turtle swims.")};
  EXPECT_EQ(DropUnverifiedCitations(models::Grounding(), citations), 1);
}

}  // namespace
}  // namespace aibackend::chat
