#include "server/retrieval/vector_index.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <string>

#include "gtest/gtest.h"

namespace aibackend::retrieval {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

using Random = std::mt19937;
using Vector = std::vector<float>;

float Normal(Random& random) {
  return std::normal_distribution<float>()(random);
}

size_t Below(Random& random, size_t end) {
  return std::uniform_int_distribution<size_t>(0, end - 1)(random);
}

// A way to make a vector: of row `i`, or of the query (i < 0).
struct Kind {
  std::string name;
  std::function<float(Random& random, int i, size_t j)> component;
  bool faiss_can_compare = true;  // sums in float neither overflow nor meet a NaN
};

std::vector<Kind> Kinds() {
  const auto by_row = [](int i, size_t j) { return std::sin(static_cast<float>(i * 31 + j)); };
  return {
      {"random", [](Random& r, int, size_t) { return Normal(r); }},
      // Rows differ by less than a step of the int8 codes.
      {"near duplicates",
       [](Random& r, int, size_t j) { return std::cos(1.0F + j) + 1e-4F * Normal(r); }},
      {"neighbouring floats",
       [](Random& r, int, size_t j) {
         const auto base = static_cast<float>(j % 5 + 1);
         return Below(r, 2) == 0 ? base : std::nextafter(base, kInfinity);
       }},
      {"all equal", [](Random&, int i, size_t j) { return i < 0 ? 1.0F : std::cos(2.0F * j); }},
      {"exact ties", [](Random& r, int, size_t) { return static_cast<float>(Below(r, 3)) - 1; }},
      {"zeros", [](Random&, int, size_t) { return 0.0F; }},
      {"some zero rows",
       [=](Random& r, int i, size_t j) { return i % 3 == 1 ? 0.0F : by_row(i, j) - Normal(r); }},
      {"alternating signs",
       [](Random& r, int, size_t j) {
         return (j % 2 == 0 ? 1.0F : -1.0F) * (1 + 1e-3F * Normal(r));
       }},
      // Every code is 127 or -127: the greatest sums there are.
      {"greatest codes",
       [](Random& r, int i, size_t) { return i >= 0 && Below(r, 50) == 0 ? -1.0F : 1.0F; }},
      {"one huge component",
       [](Random& r, int, size_t j) { return j == 0 ? 1e6F * Normal(r) : Normal(r); }},
      {"far too huge",
       [](Random& r, int i, size_t j) { return Normal(r) * (j == 0 && i % 4 == 0 ? 1e30F : 1.0F); },
       false},
      {"overflow",
       [](Random& r, int i, size_t) { return Normal(r) * (i % 2 == 0 ? 3e37F : 1e25F); }, false},
      {"all sizes",
       [](Random& r, int i, size_t) { return std::ldexp(Normal(r), (i * 37) % 120 - 60); }, false},
      {"denormal", [](Random& r, int, size_t) { return 1e-41F * Normal(r); }},
      {"denormal beside normal",
       [](Random& r, int, size_t j) { return Normal(r) * (j % 2 == 0 ? 1e-41F : 1.0F); }},
      {"smallest that is coded", [](Random& r, int, size_t) { return std::ldexp(Normal(r), -39); }},
      {"largest that is coded", [](Random& r, int, size_t) { return std::ldexp(Normal(r), 37); }},
      {"not a number",
       [](Random& r, int i, size_t) {
         return i >= 0 && Below(r, 40) == 0 ? (Below(r, 2) == 0 ? kNan : -kInfinity) : Normal(r);
       },
       false},
  };
}

Vector MakeVector(const Kind& kind, Random& random, int i, size_t dimensions) {
  Vector vector(dimensions);
  for (size_t j = 0; j < dimensions; ++j) vector[j] = kind.component(random, i, j);
  return vector;
}

bool IsFinite(const float* vector, size_t dimensions) {
  return std::all_of(vector, vector + dimensions, [](float x) { return std::isfinite(x); });
}

// What Search() promises to equal: every allowed row scored, sorted, cut.
std::vector<ScoredRow> PlainAnswer(const VectorIndex& index, const VectorQuery& query) {
  std::vector<ScoredRow> all;
  const size_t d = index.dimensions();
  for (size_t row = 0; IsFinite(query.vector, d) && row < index.size(); ++row) {
    if (query.allowed != nullptr && !query.allowed->Contains(row)) continue;
    if (!IsFinite(index.Row(row), d)) continue;
    all.push_back({static_cast<uint32_t>(row), ScoreOf(query.vector, index.Row(row), d)});
  }
  std::sort(all.begin(), all.end(), IsBetterRow);
  all.resize(std::min(all.size(), query.k));
  return all;
}

double Norm(const float* vector, size_t dimensions) {
  double squares = 0;
  for (size_t i = 0; i < dimensions; ++i) squares += static_cast<double>(vector[i]) * vector[i];
  return std::sqrt(squares);
}

// FAISS sums in float, in another order: its scores are the same but for rounding, and so are its
// rows where no score is that near.
void ExpectFaissAgrees(const VectorIndex& index, const VectorQuery& query,
                       const std::vector<ScoredRow>& rows) {
  const size_t d = index.dimensions();
  const size_t k = rows.size();
  if (k == 0) return;
  std::vector<float> scores(k);
  std::vector<faiss::Index::idx_t> labels(k);
  index.faiss_index().search(1, query.vector, static_cast<faiss::Index::idx_t>(k), scores.data(),
                             labels.data());
  double longest = 0;
  for (size_t row = 0; row < index.size(); ++row) {
    longest = std::max(longest, Norm(index.Row(row), d));
  }
  const double rounding =
      static_cast<double>(d + 2) * 0x1p-24 * Norm(query.vector, d) * longest + 1e-37;
  for (size_t i = 0; i < k; ++i) {
    EXPECT_NEAR(rows[i].score, scores[i], rounding) << "place " << i;
    // The last place has a neighbour that was not asked for.
    const bool is_apart = (i == 0 || rows[i - 1].score - rows[i].score > 2 * rounding) &&
                          i + 1 < k && rows[i].score - rows[i + 1].score > 2 * rounding;
    if (is_apart) {
      EXPECT_EQ(static_cast<size_t>(labels[i]), rows[i].row) << "place " << i;
    }
  }
}

std::string Describe(const std::vector<ScoredRow>& rows) {
  std::string text;
  for (size_t i = 0; i < std::min<size_t>(rows.size(), 12); ++i) {
    text += std::to_string(rows[i].row) + ":" + std::to_string(rows[i].score) + " ";
  }
  return text;
}

void ExpectPlainAnswer(const VectorIndex& index, const VectorQuery& query, const TopRows& found) {
  const std::vector<ScoredRow> expected = PlainAnswer(index, query);
  EXPECT_TRUE(found.rows == expected)
      << "found    " << Describe(found.rows) << "\nexpected " << Describe(expected);
}

class VectorIndexTest : public testing::TestWithParam<ScanPath> {
 protected:
  void SetUp() override {
    if (KernelsOf(GetParam()) == nullptr) {
      GTEST_SKIP() << "THIS MACHINE HAS NO " << ScanPathName(GetParam())
                   << ": its path is not tested";
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Paths, VectorIndexTest,
                         testing::Values(ScanPath::kPlain, ScanPath::kAvx2, ScanPath::kAvx512Vnni),
                         [](const auto& each) {
                           return each.param == ScanPath::kPlain  ? "Plain"
                                  : each.param == ScanPath::kAvx2 ? "Avx2"
                                                                  : "Avx512Vnni";
                         });

TEST_P(VectorIndexTest, TheAnswerIsThatOfScoringEveryRow) {
  constexpr size_t kDimensions[] = {1, 3, 16, 37, 63, 64, 65, 130};
  constexpr size_t kRows[] = {0, 1, 63, 64, 65, 130, 500, 1100};
  constexpr size_t kAnswers[] = {0, 1, 2, 10, 100, 2000};
  const std::vector<Kind> kinds = Kinds();
  for (unsigned seed = 1; seed <= 540; ++seed) {
    Random random(seed);
    const Kind& kind = kinds[seed % kinds.size()];
    const size_t dimensions = kDimensions[Below(random, std::size(kDimensions))];
    const size_t rows = kRows[Below(random, std::size(kRows))];
    SCOPED_TRACE("seed " + std::to_string(seed) + ", " + kind.name + ", " + std::to_string(rows) +
                 " rows of " + std::to_string(dimensions));
    VectorIndex index(dimensions, GetParam());
    RowSet allowed;
    const size_t one_in = Below(random, 2) == 0 ? 2 : 70;
    for (size_t row = 0; row < rows; ++row) {
      index.Add(MakeVector(kind, random, static_cast<int>(row), dimensions).data());
      if (Below(random, one_in) == 0) allowed.Add(row);
    }
    std::vector<Vector> vectors;
    std::vector<VectorQuery> queries;
    for (size_t i = 0, count = 1 + Below(random, 6); i < count; ++i) {
      vectors.push_back(MakeVector(kind, random, -1 - static_cast<int>(i), dimensions));
      const size_t k = kAnswers[Below(random, std::size(kAnswers))];
      queries.push_back({nullptr, k, Below(random, 2) == 0 ? &allowed : nullptr});
    }
    for (size_t i = 0; i < queries.size(); ++i) queries[i].vector = vectors[i].data();
    std::vector<TopRows> found(queries.size());
    index.Search(queries.data(), queries.size(), found.data());
    for (size_t i = 0; i < queries.size(); ++i) {
      ExpectPlainAnswer(index, queries[i], found[i]);
      if (kind.faiss_can_compare && queries[i].allowed == nullptr) {
        ExpectFaissAgrees(index, queries[i], found[i].rows);
      }
    }
    ASSERT_FALSE(HasFailure());
  }
}

// Rows that the first bounds cannot tell apart wait in a bounded list, which fills several times.
TEST_P(VectorIndexTest, ThousandsOfRowsThatHardlyDifferAreStillExact) {
  constexpr size_t kDimensions = 12;
  const std::vector<Kind> kinds = Kinds();
  for (const char* name : {"near duplicates", "neighbouring floats", "all equal", "exact ties"}) {
    SCOPED_TRACE(name);
    const auto kind = std::find_if(kinds.begin(), kinds.end(),
                                   [&](const Kind& each) { return each.name == name; });
    Random random(7);
    VectorIndex index(kDimensions, GetParam());
    for (int row = 0; row < 10'000; ++row) {
      index.Add(MakeVector(*kind, random, row, kDimensions).data());
    }
    const Vector vector = MakeVector(*kind, random, -1, kDimensions);
    for (const size_t k : {size_t{1}, size_t{10}, size_t{9'999}}) {
      const VectorQuery query{vector.data(), k, nullptr};
      TopRows found;
      index.Search(&query, 1, &found);
      ExpectPlainAnswer(index, query, found);
    }
  }
}

// In one dimension the Cauchy-Schwarz inequality is an equality: nothing but the slack for rounding
// keeps a row whose score differs by a unit in the last place.
TEST_P(VectorIndexTest, RoundingLosesNoRow) {
  for (unsigned seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    const float base = std::ldexp(1 + Normal(random) / 8, static_cast<int>(Below(random, 60)) - 30);
    const auto near_base = [&] {
      return base * (1 + static_cast<float>(Below(random, 64)) * 0x1p-23F);
    };
    VectorIndex index(1, GetParam());
    for (int row = 0; row < 100; ++row) {
      const float component = near_base();
      index.Add(&component);
    }
    const float component = near_base();
    const VectorQuery query{&component, 1 + Below(random, 4), nullptr};
    TopRows found;
    index.Search(&query, 1, &found);
    ExpectPlainAnswer(index, query, found);
    ASSERT_FALSE(HasFailure());
  }
}

TEST_P(VectorIndexTest, FewRowsAreScoredInFull) {
  constexpr size_t kDimensions = 128;
  Random random(11);
  VectorIndex index(kDimensions, GetParam());
  const Kind kind = Kinds().front();
  for (int row = 0; row < 5'000; ++row) {
    index.Add(MakeVector(kind, random, row, kDimensions).data());
  }
  const Vector vector = MakeVector(kind, random, -1, kDimensions);
  const VectorQuery query{vector.data(), 10, nullptr};
  TopRows found;
  index.Search(&query, 1, &found);
  ExpectPlainAnswer(index, query, found);
  EXPECT_GE(found.rescored, 10U);
  EXPECT_LE(found.rescored, 100U);
}

TEST_P(VectorIndexTest, EveryQueryOfALargeBatchGetsItsOwnAnswer) {
  constexpr size_t kDimensions = 24;
  Random random(13);
  const Kind kind = Kinds().front();
  VectorIndex index(kDimensions, GetParam());
  for (int row = 0; row < 700; ++row) index.Add(MakeVector(kind, random, row, kDimensions).data());
  std::vector<Vector> vectors;
  for (size_t i = 0; i < 3 * Int8Scan::kBatchQueriesMax + 5; ++i) {
    vectors.push_back(MakeVector(kind, random, -1, kDimensions));
  }
  std::vector<VectorQuery> queries;
  for (size_t i = 0; i < vectors.size(); ++i)
    queries.push_back({vectors[i].data(), i % 9, nullptr});
  std::vector<TopRows> found(queries.size());
  index.Search(queries.data(), queries.size(), found.data());
  for (size_t i = 0; i < queries.size(); ++i) ExpectPlainAnswer(index, queries[i], found[i]);
}

TEST_P(VectorIndexTest, RowsThatAreNotAllowedTakeNoPlace) {
  VectorIndex index(2, GetParam());
  const float best[] = {5, 0};
  const float good[] = {1, 0};
  for (int row = 0; row < 200; ++row) index.Add(row % 2 == 0 ? best : good);
  RowSet allowed;
  const float vector[] = {1, 0};
  const VectorQuery query{vector, 3, &allowed};
  TopRows found;
  index.Search(&query, 1, &found);
  EXPECT_TRUE(found.rows.empty());
  for (const size_t row : {size_t{199}, size_t{71}, size_t{5}, size_t{6}}) allowed.Add(row);
  allowed.Remove(6);
  index.Search(&query, 1, &found);
  EXPECT_EQ(found.rows, (std::vector<ScoredRow>{{5, 1}, {71, 1}, {199, 1}}));
}

TEST_P(VectorIndexTest, WhatIsNoNumberIsInNoAnswer) {
  VectorIndex index(2, GetParam());
  const float rows[][2] = {{kNan, 0}, {1, 0}, {kInfinity, 0}, {0, 1}, {-kInfinity, kNan}};
  for (const auto& row : rows) index.Add(row);
  for (const float scale : {1.0F, 1e30F}) {  // 1e30: a query that scores every row
    const float vector[] = {scale, -scale};
    const VectorQuery query{vector, 5, nullptr};
    TopRows found;
    index.Search(&query, 1, &found);
    EXPECT_EQ(found.rows, (std::vector<ScoredRow>{{1, scale}, {3, -scale}}));
  }
  for (const float bad : {kNan, kInfinity}) {
    const float vector[] = {1, bad};
    const VectorQuery query{vector, 5, nullptr};
    TopRows found;
    index.Search(&query, 1, &found);
    EXPECT_TRUE(found.rows.empty());
  }
}

TEST_P(VectorIndexTest, TheGreatestSumsNeitherSaturateNorOverflow) {
  constexpr size_t kSteps = Int8Scan::kDimensionsMax / kStepDimensions;
  constexpr size_t kBlockLines = kSteps * kBlockRows * kStepDimensions / 64;
  struct alignas(64) Line {
    uint8_t bytes[64];
  };
  std::vector<Line> lines(kBlockLines);
  uint8_t* codes = lines.front().bytes;
  // Rows of all 127, all -127 and alternating.
  const auto code_of = [](size_t row, size_t i) {
    const bool is_negative = row % 3 == 1 || (row % 3 == 2 && i % 2 == 1);
    return is_negative ? -127 : 127;
  };
  for (size_t row = 0; row < kBlockRows; ++row) {
    for (size_t i = 0; i < Int8Scan::kDimensionsMax; ++i) {
      codes[(i / kStepDimensions * kBlockRows + row) * kStepDimensions + i % kStepDimensions] =
          static_cast<uint8_t>(code_of(row, i) + 128);
    }
  }
  for (const int8_t query_code : {int8_t{127}, int8_t{-127}}) {
    const std::vector<int8_t> narrow(Int8Scan::kDimensionsMax, query_code);
    const std::vector<int16_t> wide(narrow.begin(), narrow.end());
    CodedQuery query;
    query.codes = narrow.data();
    query.wide_codes = wide.data();
    query.offset = 128 * query_code * static_cast<int32_t>(Int8Scan::kDimensionsMax);
    for (size_t count = 1; count <= kKernelQueriesMax; ++count) {
      const CodedQuery* const queries[kKernelQueriesMax] = {&query, &query, &query, &query};
      int32_t dots[kKernelQueriesMax][kBlockRows] = {};
      KernelsOf(GetParam())->dots(codes, kSteps, queries, count, dots);
      constexpr int32_t kGreatest = 127 * static_cast<int32_t>(Int8Scan::kDimensionsMax);
      for (size_t row = 0; row < kBlockRows; ++row) {
        const int32_t expected = row % 3 == 0   ? kGreatest * query_code
                                 : row % 3 == 1 ? -kGreatest * query_code
                                                : 0;
        ASSERT_EQ(dots[count - 1][row], expected) << "row " << row << " of " << count;
      }
    }
  }
}

TEST(ProductsTest, EqualFaissOwnSearch) {
  constexpr size_t kDimensions = 48;
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  VectorIndex index(kDimensions);
  std::vector<float> vector(kDimensions);
  for (int i = 0; i < 500; ++i) {
    for (float& x : vector) x = normal(random);
    index.Add(vector.data());
  }
  for (float& x : vector) x = normal(random);
  std::vector<float> products(index.size());
  index.Products(vector.data(), products.data());
  std::vector<float> faiss_products(10);
  std::vector<faiss::Index::idx_t> labels(10);
  index.faiss_index().search(1, vector.data(), 10, faiss_products.data(), labels.data());
  std::vector<size_t> order(index.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return products[a] > products[b]; });
  for (size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(static_cast<size_t>(labels[i]), order[i]);
    EXPECT_NEAR(faiss_products[i], products[order[i]], 1e-4);
  }
}

}  // namespace
}  // namespace aibackend::retrieval
