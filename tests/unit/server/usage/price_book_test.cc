#include "server/usage/price_book.h"

#include <thread>

#include "gmock/gmock.h"
#include "server/base/status.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/temp_folder.h"

namespace aibackend::usage {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::IsEmpty;

constexpr absl::Duration kPatience = absl::Minutes(1);  // never reached by a test that passes
constexpr absl::Duration kPoll = absl::Milliseconds(20);

PriceValues OfTokens(int64_t input, int64_t output) {
  return {input * 1'000'000, output * 1'000'000, {}, {}};
}

class PriceBookTest : public ::testing::Test {
 protected:
  PriceBookTest() : database_(OpenFile()), book_(Open(*database_)) {}

  std::unique_ptr<storage::Database> OpenFile() {
    return *storage::OpenSqlite(folder_.File("test.sqlite"));
  }
  std::unique_ptr<PriceBook> Open(storage::Database& database,
                                  absl::Duration poll = absl::Hours(1)) {
    return *PriceBook::Open(database, clock_, {poll});
  }
  int64_t CostOfOne(const PriceBook& book) { return book.Cost("m", {1, 0, 0, 0}).cost.value; }
  // Whether a polling book gets this price of another one.
  static bool ComesTo(const PriceBook& book, const char* model, int64_t cost) {
    const absl::Time deadline = absl::Now() + kPatience;
    while (book.Cost(model, {1, 0, 0, 0}).cost.value != cost) {
      if (absl::Now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }
  int64_t Set(PriceBook& book, int64_t input) {
    const auto price = book.Set("m", OfTokens(input, 1), PriceSource::kApi);
    EXPECT_TRUE(price.ok()) << price.status();
    return price.ok() ? price->version : 0;
  }

  TempFolder folder_;
  FakeClock clock_;
  std::unique_ptr<storage::Database> database_;
  std::unique_ptr<PriceBook> book_;
};

TEST_F(PriceBookTest, AModelWithoutAPriceIsUnknownAndAFreeOneIsNot) {
  book_->AddFree("embedded");
  const Priced unknown = book_->Cost("m", {10, 10, 0, 0});
  EXPECT_TRUE(unknown.unknown);
  EXPECT_EQ(unknown.cost.value, 0);
  const Priced free = book_->Cost("embedded", {10, 10, 0, 0});
  EXPECT_FALSE(free.unknown);
  EXPECT_EQ(free.cost.value, 0);
  EXPECT_EQ(free.price_version, 0);
}

TEST_F(PriceBookTest, AFreeModelThatIsGivenAPriceHasIt) {
  book_->AddFree("m");
  Set(*book_, 3);
  EXPECT_EQ(CostOfOne(*book_), 3);
}

TEST_F(PriceBookTest, APriceIsInForceAtOnceAndAfterARestart) {
  const auto price = book_->Set("m", {2'000'000, 3'000'000, 1'000'000, {}}, PriceSource::kApi);
  ASSERT_TRUE(price.ok()) << price.status();
  const auto restarted = Open(*database_);
  for (const PriceBook* book : {book_.get(), restarted.get()}) {
    const Priced priced = book->Cost("m", {10, 10, 5, 5});
    EXPECT_EQ(priced.cost.value, 5 * 2 + 5 * 1 + 10 * 3);
    EXPECT_EQ(priced.price_version, price->version);
    EXPECT_FALSE(priced.unknown);
  }
}

TEST_F(PriceBookTest, VersionsRiseOverAllModelsAndHistoryKeepsThem) {
  const int64_t first = Set(*book_, 1);
  clock_.Advance(absl::Hours(1));
  const auto other = book_->Set("a", {5, 6, 7, 8}, PriceSource::kApi);
  const int64_t second = Set(*book_, 2);
  EXPECT_LT(first, other->version);
  EXPECT_LT(other->version, second);

  const auto version_is = [](int64_t v) { return Field(&Price::version, v); };
  EXPECT_THAT(*book_->List("", false), ElementsAre(version_is(other->version), version_is(second)));
  EXPECT_THAT(*book_->List("", true),
              ElementsAre(version_is(other->version), version_is(second), version_is(first)));
  EXPECT_THAT(*book_->List("m", true), ElementsAre(version_is(second), version_is(first)));
  EXPECT_THAT(*book_->List("m", false), ElementsAre(version_is(second)));
  EXPECT_THAT(*book_->List("none", true), IsEmpty());

  const Price stored = (*book_->List("a", false))[0];
  EXPECT_EQ(stored.values, (PriceValues{5, 6, 7, 8}));
  EXPECT_EQ(stored.effective_at, clock_.Now());
  EXPECT_EQ(stored.source, PriceSource::kApi);
  EXPECT_EQ((*book_->Find(first))->values, OfTokens(1, 1));
  EXPECT_FALSE(book_->Find(second + 1)->has_value());
}

TEST_F(PriceBookTest, AFilesPriceIsNewOnlyWhereItDiffersFromTheFilesLast) {
  ASSERT_TRUE(book_->UseFile({{"m", OfTokens(1, 1)}, {"n", OfTokens(9, 9)}}).ok());
  EXPECT_EQ(CostOfOne(*book_), 1);
  ASSERT_TRUE(book_->UseFile({{"m", OfTokens(1, 1)}, {"n", OfTokens(9, 9)}}).ok());
  EXPECT_EQ(book_->List("", true)->size(), 2u);

  // The API's stays in force over restarts, until the file says something new.
  Set(*book_, 7);
  book_ = Open(*database_);
  ASSERT_TRUE(book_->UseFile({{"m", OfTokens(1, 1)}}).ok());
  EXPECT_EQ(CostOfOne(*book_), 7);
  ASSERT_TRUE(book_->UseFile({{"m", OfTokens(2, 1)}}).ok());
  EXPECT_EQ(CostOfOne(*book_), 2);
  EXPECT_EQ((*book_->List("m", false))[0].source, PriceSource::kFile);

  // Also where it comes back to what it said before.
  ASSERT_TRUE(book_->UseFile({{"m", OfTokens(1, 1)}}).ok());
  EXPECT_EQ(CostOfOne(*book_), 1);
  EXPECT_EQ(book_->List("m", true)->size(), 4u);
  EXPECT_FALSE(book_->Cost("n", {}).unknown);  // what the file no longer names keeps its price
}

TEST_F(PriceBookTest, AFileWithAMistakeChangesNothing) {
  EXPECT_EQ(ReasonOf(book_->UseFile({{"m", OfTokens(1, 1)}, {"n", {-1, 0, {}, {}}}})),
            Reason::FIELD_OUT_OF_RANGE);
  EXPECT_THAT(*book_->List("", true), IsEmpty());
}

TEST_F(PriceBookTest, ABadPriceIsRefused) {
  EXPECT_EQ(FieldOf(book_->Set("", {}, PriceSource::kApi).status()), "model");
  EXPECT_EQ(ReasonOf(book_->Set("m", {0, -1, {}, {}}, PriceSource::kApi).status()),
            Reason::FIELD_OUT_OF_RANGE);
  EXPECT_TRUE(book_->Cost("m", {}).unknown);
}

TEST_F(PriceBookTest, TwoBooksOverOneFileSeeEachOthersPrices) {
  const auto other_database = OpenFile();
  const auto other = Open(*other_database, kPoll);
  const auto own = Open(*database_, kPoll);
  Set(*other, 4);
  EXPECT_TRUE(ComesTo(*own, "m", 4));

  // One that comes between two of its own isn't missed.
  other->Set("theirs", OfTokens(8, 8), PriceSource::kApi).IgnoreError();
  const int64_t last = Set(*own, 5);
  EXPECT_TRUE(ComesTo(*own, "theirs", 8));
  EXPECT_TRUE(ComesTo(*other, "m", 5));
  EXPECT_EQ(own->Cost("m", {}).price_version, last);
}

TEST_F(PriceBookTest, AnUpperBoundIsTheDearestOfAModelAndItsFallbacks) {
  ASSERT_TRUE(book_
                  ->UseFile({{"cheap", OfTokens(1, 2)},
                             {"in", OfTokens(9, 1)},
                             {"out", {1'000'000, 2'000'000, {}, 8'000'000}}})
                  .ok());
  book_->AddFree("free");
  EXPECT_EQ(book_->UpperBound({"cheap", "in", "out", "free"}, 10, 1)->value, 91);
  EXPECT_EQ(book_->UpperBound({"cheap", "in", "out", "free"}, 1, 10)->value, 81);
  EXPECT_EQ(book_->UpperBound({"free"}, 1, 10)->value, 0);
  EXPECT_FALSE(book_->UpperBound({"cheap", "unknown"}, 1, 1).has_value());
  EXPECT_EQ(*book_->DearestPerMillion({"cheap", "out"}), 8'000'000);
  EXPECT_EQ(*book_->DearestPerMillion({"free"}), 0);
  EXPECT_FALSE(book_->DearestPerMillion({"unknown", "cheap"}).has_value());
}

}  // namespace
}  // namespace aibackend::usage
