#include "proto/otlp/trace_context.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace aibackend::otlp {
namespace {

// The specification's example.
constexpr char kExample[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(TraceContext, TheSpecificationsExampleIsReadAndWrittenAlike) {
  const auto context = ParseTraceparent(kExample);
  ASSERT_TRUE(context);
  EXPECT_EQ(context->TraceIdHex(), "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(context->span_id[1], 0xf0);
  EXPECT_TRUE(context->is_sampled());
  EXPECT_EQ(FormatTraceparent(*context), kExample);
}

struct Row {
  const char* traceparent;
  const char* taken;  // as it would go on; empty: ignored
};

class TraceparentTest : public testing::TestWithParam<Row> {};

TEST_P(TraceparentTest, IsTakenAsTheSpecificationSays) {
  const auto context = ParseTraceparent(GetParam().traceparent);
  EXPECT_EQ(context ? FormatTraceparent(*context) : "", GetParam().taken) << GetParam().traceparent;
}

constexpr char kNotSampled[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
constexpr char kRandom[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03";

INSTANTIATE_TEST_SUITE_P(
    Table, TraceparentTest,
    testing::Values(Row{kNotSampled, kNotSampled}, Row{kRandom, kRandom},
                    // Flags that this version doesn't know are not sent on.
                    Row{"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff", kRandom},
                    Row{"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-fc", kNotSampled},
                    // A later version: its beginning, and of its flags the first.
                    Row{"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03", kExample},
                    Row{"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-else",
                        kExample},
                    Row{"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-", kExample},
                    Row{"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what-else", ""},
                    Row{"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-010", ""},
                    // Version 00 has nothing more, and version ff is none.
                    Row{"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", ""},
                    Row{"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 ", ""},
                    Row{"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", ""},
                    // Ids of zeros are none.
                    Row{"00-00000000000000000000000000000000-00f067aa0ba902b7-01", ""},
                    Row{"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", ""},
                    // Only small hexadecimal digits, and dashes where they belong.
                    Row{"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", ""},
                    Row{"00-4bf92f3577b34da6a3ce929d0e0e4736-00F067aa0ba902b7-01", ""},
                    Row{"0A-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", ""},
                    Row{"00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01", ""},
                    Row{"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x", ""},
                    Row{"00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01", ""},
                    Row{" 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", ""},
                    Row{"00-4bf92f3577b34da6a3ce929d0e0e47360-0f067aa0ba902b7-01", ""}, Row{"", ""},
                    Row{"00-1", ""}));

TEST(TraceContext, NoTruncationAndNoOtherByteIsTakenForATraceparent) {
  const std::string whole = kExample;
  for (size_t size = 0; size < whole.size(); ++size) {
    // Of its own size, so that a byte read beyond it is seen.
    const std::string cut(whole, 0, size);
    EXPECT_FALSE(ParseTraceparent(absl::string_view(cut.data(), cut.size()))) << cut;
  }
  for (size_t at = 0; at < whole.size(); ++at) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string changed = whole;
      changed[at] = static_cast<char>(byte);
      const auto context = ParseTraceparent(changed);
      const bool is_hex = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f');
      const bool is_dash = at == 2 || at == 35 || at == 52;
      // A version other than 00 may be as long: all but ff, which a change of one byte doesn't
      // make.
      const bool expected = is_dash ? byte == '-' : is_hex;
      EXPECT_EQ(context.has_value(), expected) << changed;
    }
  }
}

TEST(TraceContext, IdsAreNeverTheSameAndAChildStaysInItsTrace) {
  std::set<std::string> seen;
  const TraceContext parent = *ParseTraceparent(kRandom);
  for (int i = 0; i < 1'000; ++i) {
    const TraceContext begun = NewTrace();
    EXPECT_FALSE(begun.is_sampled());
    EXPECT_EQ(begun.flags, kRandomFlag);
    seen.insert(FormatTraceparent(begun));
    const TraceContext child = ChildOf(parent);
    EXPECT_EQ(child.trace_id, parent.trace_id);
    EXPECT_EQ(child.flags, parent.flags);
    seen.insert(FormatTraceparent(child));
  }
  EXPECT_EQ(seen.size(), 2'000u);
}

TEST(TraceContext, NoneIsWrittenAsNothing) {
  EXPECT_EQ(FormatTraceparent({}), "");
  EXPECT_EQ(TraceContext().TraceIdHex(), "");
}

TEST(TraceContext, AShareOfAllTracesIsTaken) {
  int taken = 0;
  for (int i = 0; i < 10'000; ++i) {
    const TraceId id = NewTrace().trace_id;
    EXPECT_TRUE(IsInShare(id, 1));
    EXPECT_FALSE(IsInShare(id, 0));
    if (IsInShare(id, 0.25)) {
      ++taken;
      EXPECT_TRUE(IsInShare(id, 0.5));  // another process with a larger share has it too
    }
  }
  EXPECT_NEAR(taken, 2'500, 250);  // more than five standard deviations
}

}  // namespace
}  // namespace aibackend::otlp
