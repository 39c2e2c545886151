#include "server/chat/turn_feed.h"

#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "server/base/status.h"

namespace aibackend::chat {
namespace {

using ::testing::ElementsAre;
using Keep = TurnFeed::Keep;
using Next = TurnFeed::Next;

struct CountingReader final : FeedReader {
  void OnNews() override { ++news; }
  int news = 0;
};

models::Delta Reasoning(absl::string_view text) {
  models::Delta delta;
  delta.reasoning = text;
  return delta;
}

TurnResult Ok() {
  TurnResult result;
  result.finish_reason = "stop";
  return result;
}

// What comes now, one line an event: "text@sequence", "(reasoning)@…", "#index id name args@…".
std::vector<std::string> TakeAll(TurnFeed& feed, FeedReader& reader) {
  std::vector<std::string> lines;
  FeedEvent event;
  while (feed.Take(reader, &event) == Next::kEvent) {
    switch (event.kind) {
      case FeedEvent::Kind::kText:
        lines.push_back(absl::StrCat(event.text, "@", event.sequence));
        break;
      case FeedEvent::Kind::kReasoning:
        lines.push_back(absl::StrCat("(", event.text, ")@", event.sequence));
        break;
      case FeedEvent::Kind::kToolCall:
        lines.push_back(absl::StrCat("#", event.tool_call.index, " ", event.tool_call.id, " ",
                                     event.tool_call.name, " ", event.tool_call.arguments, "@",
                                     event.sequence));
        break;
    }
  }
  return lines;
}

class EveryKeeping : public ::testing::TestWithParam<Keep> {
 protected:
  TurnFeed feed_{GetParam()};
  CountingReader reader_;
};
INSTANTIATE_TEST_SUITE_P(TurnFeed, EveryKeeping, ::testing::Values(Keep::kUntilRead, Keep::kWhole));

TEST_P(EveryKeeping, WhatCameSinceTheLastEventIsOneEvent) {
  feed_.OnDelta(models::Delta("a"));
  EXPECT_THAT(TakeAll(feed_, reader_), ElementsAre("a@1"));
  feed_.OnDelta(models::Delta("b"));
  feed_.OnDelta(models::Delta("c"));
  EXPECT_THAT(TakeAll(feed_, reader_), ElementsAre("bc@3"));
}

TEST_P(EveryKeeping, KindsStayInOrderAndAreNeverMixed) {
  feed_.OnDelta(Reasoning("hm "));
  feed_.OnDelta(Reasoning("so"));
  feed_.OnDelta(models::Delta("a"));
  models::Delta both("b");
  both.reasoning = "?";
  feed_.OnDelta(both);
  EXPECT_THAT(TakeAll(feed_, reader_), ElementsAre("(hm so)@2", "a@3", "(?)@4", "b@5"));
}

TEST_P(EveryKeeping, PiecesOfOneToolCallJoinAndThoseOfTwoDoNot) {
  const std::vector<models::ToolCallDelta> begin = {{0, "c0", "add", "{\"x\""}, {0, "", "", ":1}"}};
  const std::vector<models::ToolCallDelta> second = {{1, "c1", "sub", "{"}, {1, "", "", "}"}};
  models::Delta delta;
  delta.tool_calls = begin;
  feed_.OnDelta(delta);
  delta.tool_calls = second;
  feed_.OnDelta(delta);
  EXPECT_THAT(TakeAll(feed_, reader_), ElementsAre("#0 c0 add {\"x\":1}@2", "#1 c1 sub {}@4"));
}

TEST_P(EveryKeeping, LogprobsStandWithTheirText) {
  std::vector<models::TokenLogprob> tokens(1);
  FeedEvent event;
  for (const char* token : {"a", "b"}) {
    tokens[0].token = token;
    models::Delta delta(token);
    delta.logprobs = tokens;
    feed_.OnDelta(delta);
    if (*token == 'a') {
      ASSERT_EQ(feed_.Take(reader_, &event), Next::kEvent);
      ASSERT_EQ(event.logprobs.size(), 1u);
      EXPECT_EQ(event.logprobs[0].token, "a");
    }
  }
  ASSERT_EQ(feed_.Take(reader_, &event), Next::kEvent);
  EXPECT_EQ(event.text, "b");
  ASSERT_EQ(event.logprobs.size(), 1u);
  EXPECT_EQ(event.logprobs[0].token, "b");
}

TEST_P(EveryKeeping, AReaderIsWokenOnceAndOnlyWhileItWaits) {
  feed_.OnDelta(models::Delta("a"));
  EXPECT_EQ(reader_.news, 0);
  TakeAll(feed_, reader_);
  feed_.OnDelta(models::Delta("b"));
  feed_.OnDelta(models::Delta("c"));
  EXPECT_EQ(reader_.news, 1);
}

TEST_P(EveryKeeping, TheEndComesAfterTheLastEvent) {
  EXPECT_THAT(TakeAll(feed_, reader_), ElementsAre());
  feed_.OnDelta(models::Delta("a"));
  feed_.OnDone(Ok());
  EXPECT_EQ(reader_.news, 1);
  EXPECT_THAT(TakeAll(feed_, reader_), ElementsAre("a@1"));
  EXPECT_EQ(feed_.Take(reader_, nullptr), Next::kEnd);
  EXPECT_EQ(feed_.result().finish_reason, "stop");
  EXPECT_EQ(feed_.end_sequence(), 2);
}

TEST_P(EveryKeeping, OneWhoLeavesWhileItWaitsIsGivenBackAndNotWoken) {
  TakeAll(feed_, reader_);
  EXPECT_TRUE(feed_.Leave(reader_));
  feed_.OnDelta(models::Delta("a"));
  feed_.OnDone(Ok());
  EXPECT_EQ(reader_.news, 0);
}

TEST_P(EveryKeeping, OneWhoLeavesMidwayMeetsItAtTheNextTake) {
  feed_.OnDelta(models::Delta("a"));
  EXPECT_FALSE(feed_.Leave(reader_));
  EXPECT_EQ(feed_.Take(reader_, nullptr), Next::kLeft);
}

TEST_P(EveryKeeping, AnEventHasABound) {
  const std::string piece(100'000, 'x');
  for (int i = 0; i < 10; ++i) feed_.OnDelta(models::Delta(piece));
  FeedEvent event;
  size_t bytes = 0;
  int events = 0;
  while (feed_.Take(reader_, &event) == Next::kEvent) {
    EXPECT_LE(event.text.size(), size_t{256} * 1024);
    bytes += event.text.size();
    ++events;
  }
  EXPECT_EQ(bytes, 10 * piece.size());
  EXPECT_EQ(events, 5);
}

TEST_P(EveryKeeping, AReaderOnAnotherThreadHasEverythingOnceAndInOrder) {
  constexpr int kPieces = 20'000;
  struct Threaded final : FeedReader {
    explicit Threaded(TurnFeed& f) : feed(f) {}
    void OnNews() override {
      FeedEvent event;
      Next next = Next::kWait;
      while ((next = feed.Take(*this, &event)) == Next::kEvent) {
        EXPECT_GT(event.sequence, sequence);
        sequence = event.sequence;
        text += event.text;
      }
      if (next == Next::kEnd) ended.Notify();
    }
    TurnFeed& feed;
    std::string text;
    int64_t sequence = 0;
    absl::Notification ended;
  };
  Threaded reader(feed_);
  std::string expected;
  std::thread turn([&] {
    for (int i = 0; i < kPieces; ++i) feed_.OnDelta(models::Delta(absl::StrCat(i, " ")));
    feed_.OnDone(Ok());
  });
  for (int i = 0; i < kPieces; ++i) absl::StrAppend(&expected, i, " ");
  reader.OnNews();
  reader.ended.WaitForNotification();
  turn.join();
  EXPECT_EQ(reader.text, expected);
  EXPECT_EQ(reader.sequence, kPieces);
}

TEST(TurnFeed, AReaderMayBeginAtAnyPosition) {
  TurnFeed feed(Keep::kWhole);
  feed.OnDelta(Reasoning("r"));
  for (const char* text : {"a", "b", "c"}) feed.OnDelta(models::Delta(text));
  feed.OnDone(Ok());
  const std::vector<std::vector<std::string>> expected = {
      {"(r)@1", "abc@4"}, {"abc@4"}, {"bc@4"}, {"c@4"}, {}, {}};
  for (size_t after = 0; after < expected.size(); ++after) {
    CountingReader reader;
    ASSERT_TRUE(feed.Attach(reader, static_cast<int64_t>(after))) << after;
    EXPECT_EQ(TakeAll(feed, reader), expected[after]) << after;
  }
}

TEST(TurnFeed, APositionThatIsNotReachedIsRefused) {
  TurnFeed feed(Keep::kWhole);
  CountingReader reader;
  feed.OnDelta(models::Delta("a"));
  EXPECT_TRUE(feed.Attach(reader, 1));
  EXPECT_FALSE(feed.Attach(reader, 2));
  EXPECT_FALSE(feed.Attach(reader, -1));
  feed.OnDone(Ok());
  EXPECT_TRUE(feed.Attach(reader, 2));  // the end's own
  EXPECT_FALSE(feed.Attach(reader, 3));
}

TEST(TurnFeed, ReadersDoNotTakeFromEachOther) {
  TurnFeed feed(Keep::kWhole);
  CountingReader first;
  CountingReader second;
  feed.OnDelta(models::Delta("a"));
  EXPECT_THAT(TakeAll(feed, first), ElementsAre("a@1"));
  feed.OnDelta(models::Delta("b"));
  EXPECT_EQ(first.news, 1);
  EXPECT_THAT(TakeAll(feed, second), ElementsAre("ab@2"));
  EXPECT_THAT(TakeAll(feed, first), ElementsAre("b@2"));
}

TEST(TurnFeed, WhatWasReadIsNotKeptWhereNobodyReadsItAgain) {
  TurnFeed feed(Keep::kUntilRead);
  CountingReader reader;
  feed.OnDelta(models::Delta("a"));
  TakeAll(feed, reader);
  const size_t before = feed.memory_bytes();
  for (int i = 0; i < 1000; ++i) {
    feed.OnDelta(models::Delta("a piece of a long answer"));
    TakeAll(feed, reader);
  }
  EXPECT_LE(feed.memory_bytes(), before + 1000);
}

TEST(TurnFeed, OneWhoWaitsForTheEndIsWokenByItAlone) {
  for (const Keep keep : {Keep::kEndOnly, Keep::kWhole}) {
    TurnFeed feed(keep);
    CountingReader reader;
    feed.AttachForEnd(reader);
    EXPECT_EQ(feed.Take(reader, nullptr), Next::kWait);
    feed.OnDelta(models::Delta("a"));
    EXPECT_EQ(reader.news, 0);
    feed.OnDone(Ok());
    EXPECT_EQ(reader.news, 1);
    EXPECT_EQ(feed.Take(reader, nullptr), Next::kEnd);
  }
}

}  // namespace
}  // namespace aibackend::chat
