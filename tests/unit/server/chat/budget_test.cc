#include "server/chat/budget.h"

#include "gtest/gtest.h"

namespace aibackend::chat {
namespace {

using models::ContentPart;
using models::GenerateRequest;

GenerateRequest Ask(std::vector<ContentPart> parts) {
  GenerateRequest request;
  request.messages.emplace_back();
  request.messages.back().parts = std::move(parts);
  return request;
}

ContentPart Raw(std::string json) {
  ContentPart part;
  part.kind = ContentPart::Kind::kRaw;
  part.text = std::move(json);
  return part;
}

int64_t Above(const GenerateRequest& request) {
  return PromptTokensAtMost(request) - PromptTokensAtMost(Ask({}));
}

TEST(PromptTokensAtMost, OfTextIsItsBytes) {
  ContentPart text;
  text.text = "Grüße";
  EXPECT_EQ(Above(Ask({text})), 7);
  const ContentPart thought = Raw(R"({"type":"thinking","thinking":"hm"})");
  EXPECT_EQ(Above(Ask({thought, text})), static_cast<int64_t>(thought.text.size()) + 7);
}

// A PDF of a few hundred bytes at a URL may have a thousand pages.
TEST(PromptTokensAtMost, OfWhatIsNoTextIsALargeContext) {
  for (const char* json :
       {R"({"type":"file","file":{"file_id":"f"}})",
        R"({"type":"document","source":{"type":"url","url":"u"}})", R"({"type":7})", "{}"}) {
    EXPECT_GE(Above(Ask({Raw(json)})), 1'000'000) << json;
  }
}

TEST(PromptTokensAtMost, OfAnyToolIncludesTheProvidersPrompt) {
  GenerateRequest request = Ask({});
  request.tools.emplace_back();
  request.tools.back().name = "f";
  EXPECT_GE(Above(request), 530) << "Anthropic's longest";
}

}  // namespace
}  // namespace aibackend::chat
