#include "server/usage/histogram.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "gmock/gmock.h"

namespace aibackend::usage {
namespace {

// What one may be off: the bound, and what a double's arithmetic adds to it.
constexpr double kBound = Histogram::kRelativeError + 1e-9;

double Exact(const std::vector<int64_t>& sorted, double q) {
  return static_cast<double>(
      sorted[static_cast<size_t>(q * static_cast<double>(sorted.size() - 1))]);
}

void ExpectNear(double found, double exact, const std::string& what) {
  EXPECT_LE(std::abs(found - exact), exact * kBound) << what << ": " << found << ", not " << exact;
}

Histogram Decoded(absl::string_view blob) {
  Histogram histogram;
  histogram.MergeEncoded(blob);
  return histogram;
}

TEST(Histogram, AnEmptyOneIsZeroAndNoBytes) {
  EXPECT_EQ(Histogram().Quantile(0.5), 0);
  EXPECT_EQ(Histogram().Encode(), "");
  EXPECT_TRUE(Decoded("").empty());
}

TEST(Histogram, EveryValueIsWithinTheBoundByItself) {
  for (int64_t value = 0; value <= Histogram::kValueMsMax; value += 1 + value / 97) {
    Histogram histogram;
    histogram.Add(value);
    ExpectNear(histogram.Quantile(0.5), static_cast<double>(value), "alone");
    ASSERT_EQ(Decoded(histogram.Encode()).Quantile(0.5), histogram.Quantile(0.5)) << value;
  }
}

TEST(Histogram, WhatIsOutOfRangeCountsAsTheNearestThatIsnt) {
  Histogram histogram;
  histogram.Add(-5);
  EXPECT_EQ(histogram.Quantile(1), 0);
  histogram.Add(INT64_MAX);
  ExpectNear(histogram.Quantile(1), static_cast<double>(Histogram::kValueMsMax), "the greatest");
  EXPECT_EQ(Decoded(histogram.Encode()).count(), 2u);
}

TEST(Histogram, QuantilesOfAnyDistributionAreWithinTheBoundAlsoInPieces) {
  std::mt19937_64 random(42);
  for (int round = 0; round < 60; ++round) {
    std::vector<int64_t> values(1 + random() % 5000);
    const double mu = std::uniform_real_distribution<double>(0, 14)(random);
    const double sigma = std::uniform_real_distribution<double>(0, 3)(random);
    std::lognormal_distribution<double> draw(mu, sigma);
    for (int64_t& value : values) {
      value = std::min(static_cast<int64_t>(draw(random)), Histogram::kValueMsMax);
    }
    // Three parts, merged in two ways, as a roll-up and a summary do.
    Histogram parts[3];
    for (const int64_t value : values) parts[random() % 3].Add(value);
    Histogram whole = Decoded(parts[0].Encode());
    whole.Merge(parts[1]);
    whole.MergeEncoded(parts[2].Encode());

    std::sort(values.begin(), values.end());
    EXPECT_EQ(whole.count(), values.size());
    for (const double q : {0.0, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0}) {
      ExpectNear(whole.Quantile(q), Exact(values, q), std::to_string(q));
    }
  }
}

TEST(Histogram, MergingIsTheSameInAnyOrder) {
  std::mt19937_64 random(7);
  Histogram forwards, backwards, all;
  std::vector<Histogram> parts(20);
  for (int i = 0; i < 1000; ++i) {
    const auto value = static_cast<int64_t>(random() % 100'000);
    parts[random() % parts.size()].Add(value);
    all.Add(value);
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    forwards.Merge(parts[i]);
    backwards.Merge(parts[parts.size() - 1 - i]);
  }
  EXPECT_EQ(forwards.Encode(), all.Encode());
  EXPECT_EQ(backwards.Encode(), all.Encode());
  all.Merge(all);
  EXPECT_EQ(all.count(), 2000u);
}

TEST(Histogram, GarbageNeitherHurtsNorMakesWhatCantBeEncodedAgain) {
  std::mt19937_64 random(11);
  Histogram good;
  for (int i = 0; i < 100; ++i) good.Add(static_cast<int64_t>(random() % 10'000));
  for (int round = 0; round < 100'000; ++round) {
    std::string blob = round % 2 == 0 ? good.Encode() : std::string(random() % 40, '\0');
    for (size_t i = 0, changes = round % 2 == 0 ? 3 : blob.size(); i < changes; ++i) {
      if (!blob.empty()) blob[random() % blob.size()] = static_cast<char>(random());
    }
    blob.resize(random() % (blob.size() + 1));
    const Histogram read = Decoded(blob);
    ASSERT_EQ(Decoded(read.Encode()).Encode(), read.Encode());
    ASSERT_LE(read.Quantile(1), 1.03 * static_cast<double>(Histogram::kValueMsMax));
  }
}

TEST(Histogram, ABlobIsReadUpToItsFirstMistake) {
  Histogram histogram;
  histogram.Add(0);
  histogram.Add(1);
  const std::string good = histogram.Encode();
  EXPECT_EQ(Decoded(good + "\x05").count(), 2u);                              // no count
  EXPECT_EQ(Decoded(good + std::string("\x05\x00\x05\x01", 4)).count(), 2u);  // a count of 0
  EXPECT_EQ(Decoded(good + std::string("\x00\x01", 2)).count(), 2u);          // twice
  EXPECT_EQ(Decoded(good + std::string("\xff\xff\x03\x01", 4)).count(), 2u);  // beyond the last
  EXPECT_EQ(Decoded(good + "\x01" + std::string(10, '\xff')).count(), 2u);    // 70 bits
  EXPECT_EQ(Decoded(good + "\x01\x01").count(), 3u);
}

TEST(HistogramSum, IsWhatMergingOneByOneComesTo) {
  std::mt19937_64 random(13);
  const std::string most = "\x01" + std::string(9, '\xff') + "\x01";
  for (const size_t blobs : {0, 1, 2, 10, 1000}) {
    Histogram merged;
    HistogramSum sum;
    for (size_t i = 0; i < blobs; ++i) {
      Histogram one;
      for (size_t n = random() % 20; n > 0; --n) {
        one.Add(static_cast<int64_t>(random() % 1'000'000));
      }
      std::string blob = one.Encode();
      if (random() % 4 == 0) blob.resize(random() % (blob.size() + 1));  // up to a mistake
      if (random() % 100 == 0) blob = most;
      merged.MergeEncoded(blob);
      sum.Add(blob);
      if (random() % 50 == 0) EXPECT_EQ(sum.Get().Encode(), merged.Encode());
    }
    EXPECT_EQ(sum.Get().Encode(), merged.Encode()) << blobs;
    EXPECT_EQ(sum.Get().count(), merged.count()) << blobs;
  }
}

TEST(Histogram, CountsSaturate) {
  // Bucket 1, 2^64 - 1 times.
  const std::string most = "\x01" + std::string(9, '\xff') + "\x01";
  Histogram histogram = Decoded(most);
  EXPECT_EQ(histogram.count(), UINT64_MAX);
  histogram.Add(1);
  histogram.Add(1000);
  EXPECT_EQ(histogram.count(), UINT64_MAX);
  EXPECT_NEAR(histogram.Quantile(0.5), 1, 0.03);
}

TEST(Histogram, AMillionUsualLatenciesAreFewBytes) {
  std::mt19937_64 random(3);
  std::lognormal_distribution<double> draw(6.5, 0.8);
  Histogram histogram;
  for (int i = 0; i < 1'000'000; ++i) histogram.Add(static_cast<int64_t>(draw(random)));
  EXPECT_LT(histogram.Encode().size(), 800u);
}

}  // namespace
}  // namespace aibackend::usage
