#include "server/chat/answer_cache.h"

#include <functional>
#include <map>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/base/status.h"
#include "tests/unit/fake_clock.h"

namespace aibackend::chat {
namespace {

// Vectors that the test chooses.
class FakeQuestionEmbedder final : public QuestionEmbedder {
 public:
  absl::StatusOr<Vector> VectorOf(const std::string& question,
                                  const telemetry::TraceContext&) override {
    ++calls;
    const auto found = vectors.find(question);
    if (found == vectors.end()) return MakeError(Reason::OVERLOADED, "away");
    return std::make_shared<const std::vector<float>>(found->second);
  }
  std::map<std::string, std::vector<float>> vectors;
  int calls = 0;
};

class AnswerCacheTest : public testing::Test {
 protected:
  AnswerCacheTest() {
    model_.id = "m";
    options_.mode = CacheMode::kExact;
    Make();
  }
  void Make() { cache_ = std::make_unique<AnswerCache>(clock_, &embedder_, options_); }

  static TurnRequest Ask(std::string question = "What swims?") {
    TurnRequest turn;
    turn.generate.messages = {{models::Role::kUser, std::move(question)}};
    return turn;
  }
  static TurnRequest Alike(std::string question) {
    TurnRequest turn = Ask(std::move(question));
    turn.cache.mode = CacheMode::kSemantic;
    return turn;
  }
  TurnResult Answer(std::string text = "The turtle.") const {
    TurnResult result;
    result.model = "m";
    result.finish_reason = "stop";
    result.answer.text = std::move(text);
    result.usage = {3, 2, false};
    result.upstream_calls = 1;
    result.cost = NanoUsd{7};
    return result;
  }
  absl::optional<AnswerCache::Slot> SlotOf(const TurnRequest& turn,
                                           absl::optional<uint64_t> revision = 1) {
    return cache_->SlotOf(turn, model_, false, revision);
  }
  // What the cache has, as "kind text".
  std::string Find(const TurnRequest& turn, absl::optional<uint64_t> revision = 1) {
    auto slot = SlotOf(turn, revision);
    if (!slot) return "not looked for";
    const auto found = cache_->Find(*slot);
    return found ? absl::StrCat(found->cache, " ", found->answer.text) : "miss";
  }
  void Put(const TurnRequest& turn, TurnResult result, absl::optional<uint64_t> revision = 1) {
    auto slot = SlotOf(turn, revision);
    ASSERT_TRUE(slot);
    cache_->Find(*slot);  // as a turn does: then it has the vector
    cache_->Put(*slot, "m", std::move(result));
  }

  FakeClock clock_;
  models::ModelInfo model_;
  FakeQuestionEmbedder embedder_;
  AnswerCache::Options options_;
  std::unique_ptr<AnswerCache> cache_;
};

TEST_F(AnswerCacheTest, TheSameRequestGetsTheSameAnswerForNothing) {
  EXPECT_EQ(Find(Ask()), "miss");
  Put(Ask(), Answer());
  auto slot = SlotOf(Ask());
  const auto found = cache_->Find(*slot);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->answer.text, "The turtle.");
  EXPECT_EQ(found->cache, "exact");
  EXPECT_EQ(found->usage.prompt_tokens, 3);
  EXPECT_EQ(found->upstream_calls, 0);
  EXPECT_EQ(found->cost.value, 0);
}

TEST_F(AnswerCacheTest, WhateverMayChangeAnAnswerMakesItAnother) {
  Put(Ask(), Answer());
  const std::vector<std::function<void(TurnRequest&)>> changes = {
      [](TurnRequest& t) { t.retrieval.collection.tenant = "another"; },
      [](TurnRequest& t) { t.retrieval.collection.name = "another"; },
      [](TurnRequest& t) { t.retrieval.enabled = false; },
      [](TurnRequest& t) { t.retrieval.top_k = 6; },
      [](TurnRequest& t) { t.retrieval.mode = retrieval::Mode::kLexical; },
      [](TurnRequest& t) { t.retrieval.min_score = 0.1; },
      [](TurnRequest& t) {
        t.retrieval.filter.conditions.push_back(
            {"year", retrieval::MetadataFilter::Operator::kEqual, {2024.0}});
      },
      [](TurnRequest& t) { t.generate.messages[0].content += " "; },
      [](TurnRequest& t) { t.generate.messages[0].name = "jo"; },
      [](TurnRequest& t) {
        t.generate.messages.insert(t.generate.messages.begin(),
                                   {models::Role::kSystem, "Be brief."});
      },
      [](TurnRequest& t) { t.generate.temperature = 0; },
      [](TurnRequest& t) { t.generate.top_p = 0.5; },
      [](TurnRequest& t) { t.generate.max_tokens = 5; },
      [](TurnRequest& t) { t.generate.seed = 5; },
      [](TurnRequest& t) { t.generate.seed = 6; },
      [](TurnRequest& t) { t.generate.top_logprobs = 0; },
      [](TurnRequest& t) { t.generate.stop = {"ab"}; },
      [](TurnRequest& t) {
        t.generate.stop = {"a", "b"};
      },
      [](TurnRequest& t) { t.generate.tools.emplace_back(); },
      [](TurnRequest& t) { t.generate.tool_choice.emplace(); },
      [](TurnRequest& t) { t.generate.response_format.emplace(); },
      [](TurnRequest& t) { t.generate.extra = "{}"; },
  };
  for (size_t i = 0; i < changes.size(); ++i) {
    TurnRequest turn = Ask();
    changes[i](turn);
    EXPECT_EQ(Find(turn), "miss") << i;
    Put(turn, Answer(absl::StrCat(i)));
  }
  for (size_t i = 0; i < changes.size(); ++i) {
    TurnRequest turn = Ask();
    changes[i](turn);
    EXPECT_EQ(Find(turn), absl::StrCat("exact ", i));
  }
  EXPECT_EQ(Find(Ask()), "exact The turtle.");
  model_.id = "other";
  EXPECT_EQ(Find(Ask()), "miss");
}

TEST_F(AnswerCacheTest, TextsImagesAndTheirOrderCount) {
  const auto part = [](models::ContentPart::Kind kind, std::string text, std::string url) {
    models::ContentPart made;
    made.kind = kind;
    made.text = std::move(text);
    made.url = std::move(url);
    return made;
  };
  const auto kText = models::ContentPart::Kind::kText;
  const auto kImage = models::ContentPart::Kind::kImage;
  const std::vector<std::vector<models::ContentPart>> questions = {
      {part(kText, "ab", "")},
      {part(kText, "a", ""), part(kText, "b", "")},
      {part(kText, "ab", ""), part(kImage, "", "https://x")},
      {part(kImage, "", "https://x"), part(kText, "ab", "")},
      {part(kImage, "", "https://y"), part(kText, "ab", "")},
  };
  for (size_t i = 0; i < questions.size(); ++i) {
    TurnRequest turn = Ask("");
    turn.generate.messages[0].parts = questions[i];
    EXPECT_EQ(Find(turn), "miss") << i;
    Put(turn, Answer(absl::StrCat(i)));
    EXPECT_EQ(Find(turn), absl::StrCat("exact ", i));
  }
  EXPECT_EQ(Find(Ask("ab")), "miss");
}

TEST_F(AnswerCacheTest, WhoAsksWithinATenantAndHowMakesNoDifference) {
  Put(Ask(), Answer());
  TurnRequest turn = Ask();
  turn.generate.user = "jo";
  turn.generate.request_id = "req_2";
  turn.generate.stream = true;
  EXPECT_EQ(Find(turn), "exact The turtle.");
}

TEST_F(AnswerCacheTest, AnAnswerDoesNotOutliveItsDocuments) {
  Put(Ask(), Answer(), 1);
  EXPECT_EQ(Find(Ask(), 2), "miss");
  EXPECT_EQ(Find(Ask(), absl::nullopt), "not looked for");  // nobody knows them
  TurnRequest free = Ask();
  free.retrieval.enabled = false;
  Put(free, Answer("Fish."), 1);
  EXPECT_EQ(Find(free, absl::nullopt), "exact Fish.");
}

TEST_F(AnswerCacheTest, AutomaticallyOnlyAnswersWithoutChanceAreKept) {
  options_.mode = CacheMode::kAuto;
  Make();
  TurnRequest turn = Ask();
  EXPECT_EQ(Find(turn), "not looked for");
  turn.generate.temperature = 0.1;
  EXPECT_EQ(Find(turn), "not looked for");
  turn.generate.temperature = 0;
  EXPECT_EQ(Find(turn), "miss");
  turn.cache.mode = CacheMode::kOff;
  EXPECT_EQ(Find(turn), "not looked for");
  turn.generate.temperature = 1;
  turn.cache.mode = CacheMode::kExact;
  EXPECT_EQ(Find(turn), "miss");
}

TEST_F(AnswerCacheTest, AnAnswerGrowsOld) {
  options_.ttl = absl::Seconds(60);
  Make();
  Put(Ask(), Answer());
  clock_.Advance(absl::Seconds(30));
  TurnRequest fresh = Ask();
  fresh.cache.max_age = absl::Seconds(30);
  EXPECT_EQ(Find(fresh), "miss");
  fresh.cache.max_age = absl::Seconds(31);
  EXPECT_EQ(Find(fresh), "exact The turtle.");
  clock_.Advance(absl::Seconds(30));
  fresh.cache.max_age = absl::Hours(1);  // the server's is the limit
  EXPECT_EQ(Find(fresh), "miss");
  EXPECT_EQ(cache_->bytes(), 0u);
}

TEST_F(AnswerCacheTest, TheLeastRecentlyUsedMakeRoom) {
  options_.bytes_max = 4 * 6000;
  Make();
  const auto put = [&](const char* name) { Put(Ask(name), Answer(std::string(4500, 'x'))); };
  put("a");
  put("b");
  put("c");
  put("d");
  EXPECT_NE(Find(Ask("a")), "miss");
  put("e");
  EXPECT_EQ(Find(Ask("b")), "miss");
  for (const char* name : {"a", "c", "d", "e"}) EXPECT_NE(Find(Ask(name)), "miss") << name;
  EXPECT_LE(cache_->bytes(), options_.bytes_max);
  Put(Ask("f"), Answer(std::string(30'000, 'x')));  // alone too large: the others stay
  EXPECT_EQ(Find(Ask("f")), "miss");
  EXPECT_NE(Find(Ask("e")), "miss");
}

TEST_F(AnswerCacheTest, WhatIsNoAnswerIsNotKept) {
  TurnResult failed = Answer();
  failed.status = MakeError(Reason::UPSTREAM_TRUNCATED, "cut");
  Put(Ask(), failed);
  TurnResult filtered = Answer();
  filtered.finish_reason = "content_filter";
  Put(Ask(), filtered);
  TurnResult from_another = Answer();
  from_another.model = "fallback";
  Put(Ask(), from_another);
  EXPECT_EQ(Find(Ask()), "miss");
  TurnResult cut = Answer();
  cut.finish_reason = "length";
  Put(Ask(), cut);
  EXPECT_EQ(Find(Ask()), "exact The turtle.");
}

class SemanticCacheTest : public AnswerCacheTest {
 protected:
  SemanticCacheTest() {
    embedder_.vectors = {{"How do I get my money back?", {1, 0}},
                         {"How can I be refunded?", {0.96F, 0.28F}},
                         {"Where are you?", {0, 1}},
                         {"in 3D", {0, 0, 1}}};
  }
};

TEST_F(SemanticCacheTest, AQuestionThatMeansTheSameGetsTheAnswer) {
  Put(Alike("How do I get my money back?"), Answer("Ask us."));
  EXPECT_EQ(Find(Alike("How can I be refunded?")), "semantic Ask us.");
  EXPECT_EQ(Find(Alike("Where are you?")), "miss");
  EXPECT_EQ(Find(Alike("How do I get my money back?")), "exact Ask us.");
  EXPECT_EQ(Find(Ask("How can I be refunded?")), "miss");  // that one asks for the exact one
}

TEST_F(SemanticCacheTest, ARequestMayAskForMoreLikenessThanTheServerButNotForLess) {
  Put(Alike("How do I get my money back?"), Answer("Ask us."));
  TurnRequest turn = Alike("How can I be refunded?");
  turn.cache.threshold = 0.97;
  EXPECT_EQ(Find(turn), "miss");
  turn.cache.threshold = 0.95;
  EXPECT_EQ(Find(turn), "semantic Ask us.");
  turn.cache.threshold = 0;
  EXPECT_EQ(Find(turn), "semantic Ask us.");
  turn = Alike("Where are you?");
  turn.cache.threshold = 0;
  EXPECT_EQ(Find(turn), "miss");
}

TEST_F(SemanticCacheTest, TheNearestIsTaken) {
  options_.threshold = 0.1;
  Make();
  Put(Alike("Where are you?"), Answer("Here."));
  Put(Alike("How do I get my money back?"), Answer("Ask us."));
  EXPECT_EQ(Find(Alike("How can I be refunded?")), "semantic Ask us.");
}

TEST_F(SemanticCacheTest, AllButTheQuestionMustBeEqual) {
  Put(Alike("How do I get my money back?"), Answer("Ask us."));
  const std::vector<std::function<void(TurnRequest&)>> changes = {
      [](TurnRequest& t) { t.retrieval.collection.tenant = "another"; },
      [](TurnRequest& t) { t.retrieval.collection.name = "another"; },
      [](TurnRequest& t) { t.generate.temperature = 0.5; },
      [](TurnRequest& t) {
        t.generate.messages.insert(t.generate.messages.begin(),
                                   {models::Role::kSystem, "Be rude."});
      },
      [](TurnRequest& t) { t.generate.messages[0].name = "jo"; },
  };
  for (size_t i = 0; i < changes.size(); ++i) {
    TurnRequest turn = Alike("How can I be refunded?");
    changes[i](turn);
    EXPECT_EQ(Find(turn), "miss") << i;
  }
  EXPECT_EQ(Find(Alike("How can I be refunded?"), 2), "miss");  // other documents
  EXPECT_EQ(Find(Alike("How can I be refunded?"), 1), "semantic Ask us.");
}

TEST_F(SemanticCacheTest, AnotherTenantNeverGetsTheAnswerHoweverCloseTheQuestion) {
  options_.threshold = 0;
  Make();
  TurnRequest mine = Alike("How do I get my money back?");
  mine.retrieval.collection.tenant = "mine";
  Put(mine, Answer("Mine."));
  TurnRequest theirs = mine;
  theirs.retrieval.collection.tenant = "theirs";
  EXPECT_EQ(Find(theirs), "miss");
  Put(theirs, Answer("Theirs."));
  EXPECT_EQ(Find(theirs), "exact Theirs.");
  EXPECT_EQ(Find(mine), "exact Mine.");
  theirs = Alike("How can I be refunded?");
  theirs.retrieval.collection.tenant = "theirs";
  EXPECT_EQ(Find(theirs), "semantic Theirs.");
}

TEST_F(SemanticCacheTest, WithoutAVectorItIsExact) {
  Put(Alike("nobody embeds this"), Answer("Well."));
  EXPECT_EQ(Find(Alike("nobody embeds this")), "exact Well.");
  EXPECT_EQ(Find(Alike("nor this")), "miss");
  AnswerCache without(clock_, nullptr, options_);
  auto slot = without.SlotOf(Alike("How do I get my money back?"), model_, false, 1);
  ASSERT_TRUE(slot);
  EXPECT_FALSE(without.Find(*slot));
  without.Put(*slot, "m", Answer());
  EXPECT_TRUE(without.Find(*slot));
}

TEST_F(SemanticCacheTest, VectorsOfAnotherSpaceDoNotMeet) {
  options_.threshold = 0;
  Make();
  Put(Alike("How do I get my money back?"), Answer("Ask us."));
  const TurnRequest turn = Alike("in 3D");
  EXPECT_EQ(Find(turn), "miss");
  Put(turn, Answer("Deep."));
  EXPECT_EQ(Find(turn), "exact Deep.");
}

TEST_F(SemanticCacheTest, AScopeHoldsSoManyQuestionsAndForgetsWithItsAnswers) {
  options_.scope_questions_max = 2;
  options_.threshold = 0.5;
  options_.ttl = absl::Seconds(10);
  Make();
  embedder_.vectors["third"] = {-1, 0};
  Put(Alike("How do I get my money back?"), Answer("Ask us."));
  Put(Alike("Where are you?"), Answer("Here."));
  Put(Alike("third"), Answer("3"));
  EXPECT_EQ(Find(Alike("How can I be refunded?")), "miss");
  EXPECT_EQ(Find(Alike("Where are you?")), "exact Here.");
  clock_.Advance(absl::Seconds(10));
  const TurnRequest turn = Alike("How can I be refunded?");
  EXPECT_EQ(Find(turn), "miss");
  Put(Alike("How do I get my money back?"), Answer("Anew."));
  EXPECT_EQ(Find(turn), "semantic Anew.");
}

}  // namespace
}  // namespace aibackend::chat
