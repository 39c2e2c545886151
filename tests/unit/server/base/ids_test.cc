#include "server/base/ids.h"

#include <set>

#include "gtest/gtest.h"
#include "tests/unit/fake_clock.h"

namespace aibackend {
namespace {

TEST(Ids, SortByTheTimeTheyWereMade) {
  FakeClock clock;
  UlidSource ids(clock);
  const std::string first = ids.Next("req_");
  clock.Advance(absl::Milliseconds(1));
  const std::string second = ids.Next("req_");
  EXPECT_LT(first, second);
  EXPECT_EQ(first.size(), 4u + 26u);
  EXPECT_EQ(first.substr(0, 4), "req_");
}

TEST(Ids, AreDifferentWithinAMillisecond) {
  FakeClock clock;
  UlidSource ids(clock);
  std::set<std::string> seen;
  for (int i = 0; i < 10'000; ++i) seen.insert(ids.Next(""));
  EXPECT_EQ(seen.size(), 10'000u);
}

}  // namespace
}  // namespace aibackend
