#include "server/net/sse_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"

namespace aibackend::net {
namespace {

// "type|id|data" of each event.
std::vector<std::string> Read(SseReader& reader, absl::string_view piece) {
  std::vector<std::string> events;
  const absl::Status status = reader.Feed(piece, [&](const SseEvent& event) {
    events.push_back(absl::StrCat(event.type, "|", event.id, "|", event.data));
    return true;
  });
  EXPECT_TRUE(status.ok()) << status;
  return events;
}

std::vector<std::string> ReadAll(absl::string_view stream) {
  SseReader reader;
  return Read(reader, stream);
}

using Events = std::vector<std::string>;

TEST(SseReader, AnEventEndsAtItsBlankLine) {
  SseReader reader;
  EXPECT_EQ(Read(reader, "data: one\n"), Events{});
  EXPECT_TRUE(reader.InsideEvent());
  EXPECT_EQ(Read(reader, "\n"), Events{"message||one"});
  EXPECT_FALSE(reader.InsideEvent());
}

TEST(SseReader, LinesEndInLfOrCrOrCrlf) {
  const Events expected = {"message||a\nb", "message||c"};
  EXPECT_EQ(ReadAll("data: a\ndata: b\n\ndata: c\n\n"), expected);
  EXPECT_EQ(ReadAll("data: a\rdata: b\r\rdata: c\r\r"), expected);
  EXPECT_EQ(ReadAll("data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n"), expected);
}

TEST(SseReader, ACrEndsTheLineAtOnceWithoutWaitingForItsLf) {
  SseReader reader;
  EXPECT_EQ(Read(reader, "data: a\r\n\r"), Events{"message||a"});
  EXPECT_EQ(Read(reader, "\ndata: b\r\n\r\n"), Events{"message||b"});
}

TEST(SseReader, OnlyOneSpaceAfterTheColonIsDropped) {
  EXPECT_EQ(ReadAll("data:x\n\ndata:  x\n\ndata: x:y\n\n"),
            (Events{"message||x", "message|| x", "message||x:y"}));
}

TEST(SseReader, CommentsAndUnknownFieldsAreSkipped) {
  EXPECT_EQ(ReadAll(": hello\nwhat: ever\ndata: x\n:\n\n"), Events{"message||x"});
}

TEST(SseReader, AnEventWithoutDataIsNoneAndOneWithEmptyDataIsOne) {
  EXPECT_EQ(ReadAll("event: ping\n\ndata\n\n"), Events{"message||"});
}

TEST(SseReader, TheTypeIsTheEventsOwnAndTheIdStays) {
  EXPECT_EQ(ReadAll("event: e\nid: 7\ndata: x\n\ndata: y\n\nid\ndata: z\n\n"),
            (Events{"e|7|x", "message|7|y", "message||z"}));
}

TEST(SseReader, AnIdWithANulIsIgnored) {
  EXPECT_EQ(ReadAll(absl::string_view("id: 1\nid: 2\0\ndata: x\n\n", 23)), Events{"message|1|x"});
}

TEST(SseReader, RetryTakesDigitsOnly) {
  SseReader reader;
  Read(reader, "retry: 1500\n");
  EXPECT_EQ(reader.retry(), absl::Milliseconds(1500));
  Read(reader, "retry: -3\nretry: 1e9\nretry:\n");
  EXPECT_EQ(reader.retry(), absl::Milliseconds(1500));
}

TEST(SseReader, ALeadingByteOrderMarkIsSkippedAndAnyOtherIsData) {
  EXPECT_EQ(ReadAll("\xEF\xBB\xBF"
                    "data: x\n\n"),
            Events{"message||x"});
  EXPECT_EQ(ReadAll("data: \xEF\xBB\xBF\n\n"), Events{"message||\xEF\xBB\xBF"});
  // Half a mark belongs to the first field's name, which is unknown then.
  EXPECT_EQ(ReadAll("\xEF\xBB"
                    "data: x\ndata: y\n\n"),
            Events{"message||y"});
}

TEST(SseReader, SplittingAStreamAnywhereYieldsTheSameEvents) {
  const std::string stream =
      "\xEF\xBB\xBF: c\r\nevent: a\r\ndata: 1\r\ndata:\xE2\x82\xAC\r\n\r\nid: 4\rdata: 2\r\r"
      "retry: 10\ndata: {\"x\":1}\n\n:\n\ndata\r\n\n\r\ndata: end\n\nevent: cut\ndata: never";
  const Events whole = ReadAll(stream);
  ASSERT_EQ(whole.size(), 5u);
  for (size_t first = 0; first <= stream.size(); ++first) {
    for (size_t second = first; second <= stream.size(); ++second) {
      SseReader reader;
      Events events;
      for (const absl::string_view piece : {absl::string_view(stream).substr(0, first),
                                            absl::string_view(stream).substr(first, second - first),
                                            absl::string_view(stream).substr(second)}) {
        for (std::string& event : Read(reader, piece)) events.push_back(std::move(event));
      }
      ASSERT_EQ(events, whole) << "split at " << first << " and " << second;
      ASSERT_TRUE(reader.InsideEvent());
    }
  }
}

TEST(SseReader, ByteByByteYieldsTheSameEvents) {
  const std::string stream = "data: a\r\n\r\n\xEF\xBB\xBF\n\nid: 1\ndata: b\ndata: c\n\n";
  SseReader reader;
  Events events;
  for (const char& byte : stream) {
    for (std::string& event : Read(reader, absl::string_view(&byte, 1))) events.push_back(event);
  }
  EXPECT_EQ(events, ReadAll(stream));
}

TEST(SseReader, ACallbackThatReturnsFalseEndsThePiece) {
  SseReader reader;
  int count = 0;
  EXPECT_TRUE(reader
                  .Feed("data: 1\n\ndata: 2\n\n",
                        [&](const SseEvent&) {
                          ++count;
                          return false;
                        })
                  .ok());
  EXPECT_EQ(count, 1);
}

// Feeds `piece` until the reader complains; the bytes it took by then.
size_t BytesUntilError(SseReader& reader, absl::string_view piece, size_t bytes_max) {
  size_t fed = 0;
  const auto ignore = [](const SseEvent&) { return true; };
  while (fed < bytes_max) {
    const absl::Status status = reader.Feed(piece, ignore);
    if (!status.ok()) {
      EXPECT_EQ(ReasonOf(status), Reason::UPSTREAM_BAD_RESPONSE);
      EXPECT_EQ(ReasonOf(reader.Feed("\n\n", ignore)), Reason::UPSTREAM_BAD_RESPONSE);
      return fed;
    }
    fed += piece.size();
  }
  return fed;
}

TEST(SseReader, ALineWithoutEndIsRefusedAtTheLimit) {
  SseReader reader(1000);
  EXPECT_EQ(BytesUntilError(reader, "data: aaaa", 5000), 1000u);
}

TEST(SseReader, AnEventOfManyLinesIsRefusedAtTheLimit) {
  SseReader reader(1000);
  EXPECT_LE(BytesUntilError(reader, "data: 1234567\n", 5000), 2000u);
}

TEST(SseReader, AnEventOfManyEmptyLinesIsRefusedToo) {
  SseReader reader(1000);
  EXPECT_LE(BytesUntilError(reader, "data\n", 100000), 6000u);
}

TEST(SseReader, ManyEventsWithinTheLimitGoOnForEver) {
  SseReader reader(100);
  EXPECT_EQ(BytesUntilError(reader, "data: 12345678\n\n", 16000), 16000u);
}

}  // namespace
}  // namespace aibackend::net
