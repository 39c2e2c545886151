// The hybrid and lexical search against the plain way: every leg's score of every row, every
// product in full.
#include "server/retrieval/hybrid_search.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/retrieval/collection_index.h"
#include "server/retrieval/fitted_space.h"
#include "server/retrieval/linear_algebra.h"

namespace aibackend::retrieval {
namespace {

using Scores = std::vector<double>;

// A random collection of words with a Zipf-like spread, in topics; every tenth text is a copy of
// another, so that there are ties. Texts that come after the fit have no neighbours.
struct Corpus {
  LexicalIndex lexical;
  std::vector<ChunkTerms> chunks;
  std::unique_ptr<const FittedSpace> space;
  std::unique_ptr<VectorIndex> vectors;
  std::unique_ptr<QueryGate> gate;
  TermField expanded;
  NeighbourGraph graph;
  RowSet allowed;
  std::mt19937 random;

  Corpus(unsigned seed, size_t fitted, size_t later) : random(seed) {
    std::vector<std::string> texts;
    for (size_t i = 0; i < fitted + later; ++i) {
      texts.push_back(i % 10 == 9 ? texts[i - 7] : Text(25));
      chunks.push_back(AnalyzeChunk("", texts.back()));
      lexical.Add(static_cast<Slot>(i), chunks.back());
      allowed.Add(i);
    }
    std::vector<const Bag*> bags;
    for (size_t i = 0; i < fitted; ++i) bags.push_back(&chunks[i].text.words);
    space = FittedSpace::Fit(bags);
    vectors = std::make_unique<VectorIndex>(space->dimensions());
    for (size_t i = 0; i < fitted + later; ++i) {
      std::vector<float> vector(space->dimensions());
      space->Embed(chunks[i].text.words, vector.data());
      vectors->Add(vector.data());
      if (i + 1 == fitted) graph = FindNeighbours(bags, *vectors);
      expanded.Add(static_cast<Slot>(i), chunks[i].text.words);
    }
    gate = std::make_unique<QueryGate>(
        [this](const VectorQuery* queries, size_t count, TopRows* results) {
          vectors->Search(queries, count, results);
        },
        Int8Scan::kBatchQueriesMax, 1);
  }

  std::string Text(int words) {
    const int topic = std::uniform_int_distribution<>(0, 9)(random);
    std::string text;
    for (int i = 0; i < words; ++i) {
      const double u = std::uniform_real_distribution<>(0, 1)(random);
      const int rank = static_cast<int>(std::pow(400.0, u));
      absl::StrAppend(&text, i % 2 == 0 ? "common" : absl::StrCat("topic", topic, "x"), rank, " ");
    }
    return text;
  }

  // Leaves each row in with this chance; a row that was removed from the legs too is never in.
  void Allow(double share) {
    for (size_t i = 0; i < chunks.size(); ++i) {
      if (std::uniform_real_distribution<>(0, 1)(random) >= share) allowed.Remove(i);
    }
  }
  void RemoveEvery(size_t n) {
    for (size_t i = 0; i < chunks.size(); i += n) {
      lexical.Remove(static_cast<Slot>(i), chunks[i]);
      allowed.Remove(i);
    }
  }

  SearchView View(Mode mode) const {
    SearchView view;
    view.slots = chunks.size();
    view.lexical = &lexical;
    view.allowed = &allowed;
    if (mode == Mode::kLexical) return view;
    view.vectors = vectors.get();
    view.gate = gate.get();
    view.expanded = &expanded;
    view.graph = &graph;
    return view;
  }
};

// The plain way.
class Reference {
 public:
  Reference(const Corpus& corpus, LegSet legs) : corpus_(corpus), legs_(legs) {}

  std::vector<RankedSlot> Rank(const TextBags& query, Mode mode, size_t top_k) {
    const size_t n = corpus_.chunks.size();
    const LexicalIndex& lexical = corpus_.lexical;
    fused_.assign(n, 0);
    const Scores words = Lexical(Leg::kWords, 1.0, lexical.words(), query.words);
    Lexical(Leg::kBigrams, 0.2, lexical.bigrams(), query.bigrams);
    Lexical(Leg::kChars, 0.15, lexical.chars(), query.chars);
    Lexical(Leg::kUnstemmed, 0.15, lexical.unstemmed(), query.unstemmed);
    double share = 0;
    if (mode == Mode::kHybrid) {
      Lexical(Leg::kExpanded, 0.2, corpus_.expanded, query.words);
      std::vector<float> vector(corpus_.space->dimensions());
      if (corpus_.space->Embed(query.words, vector.data())) Vectors(vector, words);
      double known = 0;
      for (const auto& t : query.words) known += lexical.words().DocumentFrequency(t.term) > 0;
      if (legs_.Has(Leg::kNeighbours)) share = 0.15 + 0.15 * std::clamp((6 - known) / 3, 0.0, 1.0);
    }
    Normalise(fused_);
    std::vector<RankedSlot> pool;
    for (size_t i = 0; i < n; ++i) {
      if (fused_[i] > 0) pool.push_back({static_cast<Slot>(i), fused_[i], fused_[i], 0, 0});
    }
    Sort(pool, std::max(kRescoredChunks, top_k));
    for (RankedSlot& ranked : pool) {
      if (share == 0 || ranked.slot >= corpus_.graph.size()) continue;
      double squares = 0;
      for (const Neighbour& each : corpus_.graph[ranked.slot]) {
        squares += each.weight * fused_[each.text] * fused_[each.text];
      }
      ranked.score = (1 - share) * ranked.fused + share * std::sqrt(squares);
    }
    Sort(pool, top_k);
    return pool;
  }

 private:
  static void Sort(std::vector<RankedSlot>& rows, size_t count) {
    std::sort(rows.begin(), rows.end(), [](const RankedSlot& a, const RankedSlot& b) {
      return a.score != b.score ? a.score > b.score : a.slot < b.slot;
    });
    rows.resize(std::min(rows.size(), count));
  }

  static void Normalise(Scores& scores) {
    double greatest = 0;
    for (double& score : scores) greatest = std::max(greatest, score = std::max(score, 0.0));
    for (double& score : scores) score /= greatest > 1e-9 ? greatest : 1;
  }

  Scores Fuse(Leg leg, double weight, Scores scores) {
    for (size_t i = 0; i < scores.size(); ++i) {
      if (!legs_.Has(leg) || !corpus_.allowed.Contains(i)) scores[i] = 0;
    }
    Normalise(scores);
    for (size_t i = 0; i < scores.size(); ++i) fused_[i] += weight * scores[i];
    return scores;
  }

  Scores Lexical(Leg leg, double weight, const TermField& field, const Bag& terms) {
    Scores scores(fused_.size());
    for (size_t i = 0; i < scores.size(); ++i) {
      for (const TermCount& t : terms) {
        const double count = field.Count(t.term, static_cast<Slot>(i));
        scores[i] += t.count * field.Idf(t.term) * count * 2.2 /
                     (count + field.LengthNorm(static_cast<Slot>(i)));
      }
    }
    return Fuse(leg, weight, std::move(scores));
  }

  Scores Products(const std::vector<float>& vector) const {
    Scores scores(fused_.size());
    for (size_t i = 0; i < scores.size(); ++i) {
      scores[i] = ScoreOf(vector.data(), corpus_.vectors->Row(i), vector.size());
    }
    return scores;
  }

  void Vectors(std::vector<float> vector, const Scores& words) {
    const Scores dense = Fuse(Leg::kDense, 0.2, Products(vector));
    if (!legs_.Has(Leg::kFeedback)) return;
    std::vector<RankedSlot> first;
    for (size_t i = 0; i < dense.size(); ++i) {
      const double score = 0.8 * words[i] + 0.2 * dense[i];
      if (score > 0) first.push_back({static_cast<Slot>(i), score, 0, 0, 0});
    }
    Sort(first, 5);
    for (const RankedSlot& chosen : first) {
      const float* row = corpus_.vectors->Row(chosen.slot);
      for (size_t i = 0; i < vector.size(); ++i) vector[i] += row[i] / 5;
    }
    if (!retrieval::Normalise(vector.data(), vector.size())) return;
    Fuse(Leg::kFeedback, 0.15, Products(vector));
  }

  const Corpus& corpus_;
  const LegSet legs_;
  Scores fused_;
};

// The scores agree up to rounding, and so does the order: where two rows changed places, their
// scores are the same up to rounding.
void ExpectSameAnswers(Corpus& corpus, const std::string& text, Mode mode, ScratchPool& pool,
                       LegSet legs = {}) {
  const TextBags query = AnalyzeText(text);
  std::vector<float> vector(corpus.space->dimensions());
  const bool has_vector = corpus.space->Embed(query.words, vector.data()) && mode == Mode::kHybrid;
  const auto all = Reference(corpus, legs).Rank(query, mode, kRescoredChunks);
  std::map<Slot, double> score_of;
  for (const RankedSlot& each : all) score_of[each.slot] = each.score;
  for (const size_t top_k : {1, 5, 40}) {
    HybridSearch search(corpus.View(mode), legs, pool);
    const auto found = search.Rank(query, has_vector ? vector.data() : nullptr, top_k);
    ASSERT_EQ(found.size(), std::min(top_k, all.size())) << text;
    for (size_t i = 0; i < found.size(); ++i) {
      ASSERT_NEAR(found[i].score, all[i].score, 2e-6) << text << " at " << i;
      ASSERT_EQ(score_of.count(found[i].slot), 1U) << text << " at " << i;
      ASSERT_NEAR(found[i].score, score_of[found[i].slot], 2e-6) << text << " at " << i;
      ASSERT_TRUE(corpus.allowed.Contains(found[i].slot));
    }
  }
}

void ExpectSameAnswersToManyQueries(Corpus& corpus) {
  ScratchPool pool;
  for (int i = 1; i <= 10; ++i) {
    const std::string query = corpus.Text(i);
    ExpectSameAnswers(corpus, query, Mode::kHybrid, pool);
    ExpectSameAnswers(corpus, query, Mode::kLexical, pool);
  }
  ExpectSameAnswers(corpus, "xyzzy", Mode::kHybrid, pool);
  ExpectSameAnswers(corpus, "", Mode::kHybrid, pool);
}

TEST(HybridSearchTest, AnswersAreThoseOfScoringEveryRow) {
  Corpus corpus(1, 1200, 0);
  ExpectSameAnswersToManyQueries(corpus);
}

TEST(HybridSearchTest, ACollectionSmallerThanThePoolIsRankedWhole) {
  Corpus corpus(2, 70, 0);
  ExpectSameAnswersToManyQueries(corpus);
}

TEST(HybridSearchTest, RemovedAndLaterChunksChangeNothingInThat) {
  Corpus corpus(3, 700, 500);
  corpus.RemoveEvery(3);
  ExpectSameAnswersToManyQueries(corpus);
}

TEST(HybridSearchTest, AFilterIsAppliedBeforeTheLegsAreNormalised) {
  for (const double share : {0.5, 0.02, 0.0}) {
    Corpus corpus(4, 450, 50);
    corpus.Allow(share);
    ExpectSameAnswersToManyQueries(corpus);
  }
}

TEST(HybridSearchTest, EveryLegCanBeLeftOut) {
  Corpus corpus(5, 400, 40);
  ScratchPool pool;
  const std::string queries[] = {corpus.Text(2), corpus.Text(6)};
  for (size_t leg = 0; leg < kLegs; ++leg) {
    LegSet without;
    without.Remove(static_cast<Leg>(leg));
    LegSet alone = *LegSet::Parse({LegName(static_cast<Leg>(leg))});
    for (const std::string& query : queries) {
      for (const Mode mode : {Mode::kHybrid, Mode::kLexical}) {
        ExpectSameAnswers(corpus, query, mode, pool, without);
        ExpectSameAnswers(corpus, query, mode, pool, alone);
      }
    }
  }
}

TEST(UpperBoundsTest, FewRowsAreScoredInFull) {
  UpperBounds bounds;
  bounds.Reset(4000);
  for (size_t block = 0; block < bounds.blocks(); ++block) {
    for (size_t i = 0; i < UpperBounds::kBlockRows; ++i) {
      const size_t row = block * UpperBounds::kBlockRows + i;
      bounds.Block(block)[i] =
          row < 4000 ? static_cast<float>((row * 2654435761U) % 100000) / 1000 + 1 : 0;
    }
    bounds.Seal(block);
  }
  size_t scored = 0;
  const auto best = bounds.Best(10, [&](size_t row) {
    ++scored;
    return bounds[row] - 0.5F;
  });
  ASSERT_EQ(best.size(), 10U);
  EXPECT_LT(scored, 60U);
  for (size_t row = 0; row < 4000; ++row) {
    const ScoredRow each{static_cast<uint32_t>(row), bounds[row] - 0.5F};
    const bool is_in = std::find(best.begin(), best.end(), each) != best.end();
    EXPECT_EQ(is_in, !IsBetterRow(best.back(), each)) << row;
  }
}

TEST(LegSetTest, AnUnknownNameIsRefusedByName) {
  const auto legs = LegSet::Parse({"words", "wrods"});
  ASSERT_FALSE(legs.ok());
  EXPECT_NE(legs.status().message().find("'wrods'"), absl::string_view::npos);
  EXPECT_FALSE(LegSet::Parse({}).ok());
}

TEST(ExplanationTest, ItsPartsSumToTheScore) {
  CollectionIndex index;
  std::vector<Change> changes;
  Corpus texts(7, 40, 0);
  for (int i = 0; i < 300; ++i) {
    auto document = std::make_shared<Document>();
    document->seq = i + 1;
    document->title = absl::StrCat("common", 1 + i % 7);
    document->text = texts.Text(30);
    document->chunks = {{0, document->text.size()}};
    changes.push_back({0, document});
  }
  index.Apply(changes);
  ASSERT_TRUE(index.Fit(1));
  for (const Mode mode : {Mode::kHybrid, Mode::kLexical, Mode::kDense}) {
    SearchQuery query;
    query.text = "common3 common3 topic4x2 common5 xyzzy";
    query.mode = mode;
    query.top_k = 20;
    EXPECT_FALSE(index.Search(query)->hits.front().explanation.has_value());
    query.explain = true;
    const SearchResult result = *index.Search(query);
    ASSERT_EQ(result.hits.size(), 20U);
    double greatest_sum = 0;
    std::vector<double> sums;
    for (const Hit& hit : result.hits) {
      ASSERT_TRUE(hit.explanation.has_value());
      const Explanation& e = *hit.explanation;
      EXPECT_EQ(hit.score, (1 - e.neighbour_share) * e.fused + e.neighbour_share * e.neighbours);
      EXPECT_EQ(e.legs.size(), mode == Mode::kHybrid ? 7U : mode == Mode::kLexical ? 4U : 1U);
      sums.push_back(0);
      for (const auto& leg : e.legs) {
        EXPECT_GE(leg.normalised, 0);
        EXPECT_LE(leg.normalised, 1);
        sums.back() += leg.weight * leg.normalised;
      }
      greatest_sum = std::max(greatest_sum, sums.back());
      double terms = 0;
      for (const auto& term : e.terms) {
        EXPECT_GT(term.count, 0);
        EXPECT_GT(term.idf, 0);
        EXPECT_NE(term.term, "xyzzy");
        terms += term.score;
      }
      if (mode == Mode::kDense) {
        EXPECT_STREQ(e.legs[0].name, "dense");
        EXPECT_EQ(e.neighbour_share, 0);
      } else {
        EXPECT_STREQ(e.legs[0].name, "words");
        EXPECT_NEAR(terms, e.legs[0].score, 1e-5);
      }
    }
    // The best by the sum of legs is among the first 20 here; its fused score is 1.
    for (size_t i = 0; i < sums.size(); ++i) {
      EXPECT_NEAR(result.hits[i].explanation->fused, sums[i] / greatest_sum, 1e-5);
    }
  }
}

}  // namespace
}  // namespace aibackend::retrieval
