#include "server/chat/keyed_turns.h"

#include <atomic>
#include <thread>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/barrier.h"
#include "gtest/gtest.h"
#include "server/base/status.h"
#include "server/chat/answer_cache.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/server/chat/scripted_model.h"
#include "tests/unit/temp_folder.h"

namespace aibackend::chat {
namespace {

constexpr absl::Duration kLong = absl::Seconds(60);

// Passes through, and can be away for readers.
class FlakyDatabase final : public storage::Database {
 public:
  explicit FlakyDatabase(std::unique_ptr<Database> real) : real_(std::move(real)) {}
  absl::Status Read(absl::FunctionRef<absl::Status(storage::Session&)> work) override {
    ++reads;
    return away ? MakeError(Reason::DATABASE_UNAVAILABLE, "away") : real_->Read(work);
  }
  absl::Status Write(absl::FunctionRef<absl::Status(storage::Session&)> work) override {
    return real_->Write(work);
  }
  std::atomic<bool> away{false};
  std::atomic<int> reads{0};

 private:
  const std::unique_ptr<Database> real_;
};

AnswerCodec TextCodec() {
  AnswerCodec codec;
  codec.encode = [](const TurnResult& result, const std::string&) {
    return "text:" + result.answer.text;
  };
  codec.decode = [](const std::string& bytes) -> absl::optional<TurnResult> {
    if (bytes.rfind("text:", 0) != 0) return absl::nullopt;
    TurnResult result;
    result.answer.text = bytes.substr(5);
    return result;
  };
  return codec;
}

// Reads a feed to its end.
class WholeReader final : public FeedReader {
 public:
  explicit WholeReader(KeyedTurns::Seat seat, int64_t after = 0) : seat_(std::move(seat)) {
    attached_ = seat_.feed->Attach(*this, after);
    if (attached_) OnNews();
  }
  void OnNews() override {
    FeedEvent event;
    auto next = TurnFeed::Next::kWait;
    while ((next = seat_.feed->Take(*this, &event)) == TurnFeed::Next::kEvent) text_ += event.text;
    if (next == TurnFeed::Next::kEnd) ended_.Notify();
  }
  bool attached() const { return attached_; }
  TurnResult Result() {
    ended_.WaitForNotification();
    return seat_.feed->result();
  }
  std::string Text() {
    ended_.WaitForNotification();
    return text_;
  }

 private:
  KeyedTurns::Seat seat_;
  bool attached_ = false;
  std::string text_;
  absl::Notification ended_;
};

class KeyedTurnsTest : public ::testing::Test {
 protected:
  KeyedTurnsTest() {
    EXPECT_TRUE(catalog_.Add(model_).ok());
    Restart();
  }

  void Restart(KeyedTurns::Options options = {}) {
    turns_.reset();
    answers_.reset();
    EXPECT_TRUE(writer_.Flush(kLong));
    answers_ = std::make_unique<KeptAnswers>(database_, writer_, clock_, TextCodec());
    turns_ = std::make_unique<KeyedTurns>(chat_, *answers_, executor_, timer_, clock_, options);
  }

  KeyedTurns::Question Question(const std::string& key, const std::string& fingerprint = "f") {
    KeyedTurns::Question question;
    question.key = key;
    question.fingerprint = fingerprint;
    question.turn.generate.request_id = absl::StrCat("req_", ++asked_);
    question.turn.generate.messages = {{models::Role::kUser, "What swims?"}};
    question.turn.retrieval.enabled = false;
    question.on_end = [this](const TurnResult& result) {
      absl::MutexLock lock(&mutex_);
      ends_.push_back(result.status);
    };
    return question;
  }

  absl::StatusOr<KeyedTurns::Seat> Ask(KeyedTurns::Question question) {
    absl::Notification answered;
    absl::StatusOr<KeyedTurns::Seat> seat;
    turns_->Ask(std::move(question), [&](absl::StatusOr<KeyedTurns::Seat> given) {
      seat = std::move(given);
      answered.Notify();
    });
    answered.WaitForNotification();
    return seat;
  }
  Reason::Reason Refusal(KeyedTurns::Question question) {
    return ReasonOf(Ask(std::move(question)).status());
  }

  static models::GenerateResult Finished(absl::Status status = absl::OkStatus()) {
    models::GenerateResult result;
    result.status = std::move(status);
    result.finish_reason = "stop";
    return result;
  }

  // One turn from its question to its end.
  void Answer(const std::string& key, const std::string& text) {
    auto seat = Ask(Question(key));
    ASSERT_TRUE(seat.ok()) << seat.status();
    WholeReader reader(*std::move(seat));
    const auto sink = model_.TakeSink();
    sink->OnDelta(models::Delta(text));
    sink->OnDone(Finished());
    EXPECT_EQ(reader.Text(), text);
  }

  std::vector<absl::Status> ends() {
    absl::MutexLock lock(&mutex_);
    return ends_;
  }

  int64_t Rows() {
    EXPECT_TRUE(writer_.Flush(kLong));
    int64_t rows = 0;
    EXPECT_TRUE(database_
                    .Read([&](storage::Session& session) {
                      return session.Query("SELECT COUNT(*) FROM idempotency", {},
                                           [&](const storage::Row& row) { rows = row.Int(0); });
                    })
                    .ok());
    return rows;
  }

  TempFolder folder_;
  FakeClock clock_;
  FakeRetriever retriever_;
  ScriptedModel model_;
  models::ModelCatalog catalog_;
  FlakyDatabase database_{*storage::OpenSqlite(folder_.File("test.sqlite"))};
  storage::GroupWriter writer_{database_, {}};
  Timer timer_;
  Executor executor_{4, 1000};
  ChatService chat_{catalog_, retriever_, executor_, clock_, {}};
  std::unique_ptr<KeptAnswers> answers_;
  std::unique_ptr<KeyedTurns> turns_;
  std::atomic<int> asked_{0};
  absl::Mutex mutex_;
  std::vector<absl::Status> ends_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(KeyedTurnsTest, ManyWhoAskAtOnceShareOneTurn) {
  constexpr int kThreads = 32;
  std::vector<KeyedTurns::Question> questions;
  for (int t = 0; t < kThreads; ++t) questions.push_back(Question("key"));
  std::atomic<int> firsts{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      auto seat = Ask(std::move(questions[t]));
      ASSERT_TRUE(seat.ok()) << seat.status();
      firsts += seat->is_first ? 1 : 0;
      WholeReader reader(*std::move(seat));
      EXPECT_EQ(reader.Text(), "a turtle");
      EXPECT_TRUE(reader.Result().status.ok());
    });
  }
  const auto sink = model_.TakeSink();
  sink->OnDelta(models::Delta("a "));
  sink->OnDelta(models::Delta("turtle"));
  sink->OnDone(Finished());
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(model_.calls(), 1);
  EXPECT_EQ(firsts, 1);
  EXPECT_EQ(ends().size(), 1u);
}

TEST_F(KeyedTurnsTest, AnAnswerIsGivenAgainWithTheFirstOnesId) {
  Answer("key", "a turtle");
  auto seat = Ask(Question("key"));
  ASSERT_TRUE(seat.ok());
  EXPECT_FALSE(seat->is_first);
  EXPECT_EQ(seat->request_id, "req_1");
  EXPECT_EQ(WholeReader(*std::move(seat)).Text(), "a turtle");
  EXPECT_EQ(model_.calls(), 1);
}

TEST_F(KeyedTurnsTest, AKeyedTurnMayBeGuardedAndAnsweredByTheCache) {
  guard::Rule rule;
  rule.name = "mail";
  rule.kind = guard::Rule::Kind::kEmail;
  rule.action = guard::Rule::Action::kMask;
  const auto rails = guard::Guardrails::Build({rule});
  AnswerCache cache(clock_, nullptr, {CacheMode::kExact});
  ChatService chat(catalog_, retriever_, executor_, clock_, {false, 10, &*rails, &cache});
  turns_ = std::make_unique<KeyedTurns>(chat, *answers_, executor_, timer_, clock_,
                                        KeyedTurns::Options());
  const auto ask = [&](const std::string& key, const std::string& mail) {
    KeyedTurns::Question question = Question(key, mail);
    question.turn.generate.messages[0].content = mail;
    return Ask(std::move(question));
  };
  auto first = ask("key", "a@b.de");
  const auto sink = model_.TakeSink();
  EXPECT_EQ(model_.request().messages[0].content, "[email]");
  sink->OnDelta(models::Delta("ask c@d.de"));
  sink->OnDone(Finished());
  WholeReader reader(*std::move(first));
  EXPECT_EQ(reader.Text(), "ask [email]");
  // Another key asks the same, after its guardrails: the cache has it.
  WholeReader cached(*ask("other", "x@y.de"));
  EXPECT_EQ(cached.Text(), "ask [email]");
  EXPECT_EQ(cached.Result().cache, "exact");
  // The key itself comes before the cache.
  auto replay = ask("key", "a@b.de");
  EXPECT_FALSE(replay->is_first);
  WholeReader replayed(*std::move(replay));
  EXPECT_EQ(replayed.Text(), "ask [email]");
  EXPECT_EQ(replayed.Result().cache, "");
  EXPECT_EQ(ReasonOf(ask("key", "x@y.de").status()), Reason::IDEMPOTENCY_KEY_REUSED)
      << "the key's request is the one that came, not what the rules left of it";
  EXPECT_EQ(model_.calls(), 1);
  turns_.reset();
}

TEST_F(KeyedTurnsTest, AnotherRequestUnderTheKeyIsRefusedAlsoWhileTheFirstRuns) {
  const auto running = Ask(Question("key"));
  const auto sink = model_.TakeSink();
  EXPECT_EQ(Refusal(Question("key", "other")), Reason::IDEMPOTENCY_KEY_REUSED);
  sink->OnDone(Finished());
  EXPECT_EQ(Refusal(Question("key", "other")), Reason::IDEMPOTENCY_KEY_REUSED);
  Restart();
  EXPECT_EQ(Refusal(Question("key", "other")), Reason::IDEMPOTENCY_KEY_REUSED);
  EXPECT_EQ(model_.calls(), 1);
}

TEST_F(KeyedTurnsTest, AFailureIsToldToAllAndFreesTheKey) {
  WholeReader first(*Ask(Question("key")));
  WholeReader joined(*Ask(Question("key")));
  model_.TakeSink()->OnDone(Finished(MakeError(Reason::UPSTREAM_TRUNCATED, "cut")));
  EXPECT_EQ(ReasonOf(first.Result().status), Reason::UPSTREAM_TRUNCATED);
  EXPECT_EQ(ReasonOf(joined.Result().status), Reason::UPSTREAM_TRUNCATED);
  Answer("key", "better");
  EXPECT_EQ(model_.calls(), 2);
  EXPECT_EQ(Rows(), 1);
}

TEST_F(KeyedTurnsTest, ARequestThatIsRefusedFreesTheKey) {
  KeyedTurns::Question question = Question("key");
  question.turn.generate.model = "nope";
  EXPECT_EQ(Refusal(std::move(question)), Reason::MODEL_NOT_FOUND);
  Answer("key", "a turtle");
  EXPECT_EQ(ends().size(), 1u);
}

TEST_F(KeyedTurnsTest, AReaderThatLeavesAndComesBackHasTheTextExactlyOnce) {
  std::string text;
  int64_t position = 0;
  std::shared_ptr<models::GenerateSink> sink;
  {
    struct Idle final : FeedReader {
      void OnNews() override {}
    } reader;
    auto seat = Ask(Question("key"));
    ASSERT_TRUE(seat.ok());
    sink = model_.TakeSink();
    for (const char* piece : {"one ", "two ", "three "}) {
      sink->OnDelta(models::Delta(piece));
      FeedEvent event;
      ASSERT_EQ(seat->feed->Take(reader, &event), TurnFeed::Next::kEvent);
      text += event.text;
      position = event.sequence;
    }
  }
  sink->OnDelta(models::Delta("four "));
  KeyedTurns::Question again = Question("key");
  again.after = position;
  auto seat = Ask(std::move(again));
  ASSERT_TRUE(seat.ok()) << seat.status();
  WholeReader reader(*std::move(seat), position);
  sink->OnDelta(models::Delta("five"));
  sink->OnDone(Finished());
  EXPECT_EQ(text + reader.Text(), "one two three four five");
  EXPECT_EQ(model_.calls(), 1);
  EXPECT_EQ(ends().size(), 1u);
}

TEST_F(KeyedTurnsTest, ATurnThatNobodyReadsIsCancelledWhenTheWindowHasPassed) {
  Restart({absl::Milliseconds(1)});
  auto seat = Ask(Question("key"));
  const auto sink = model_.TakeSink();
  EXPECT_FALSE(model_.cancelled.HasBeenNotified());
  seat = absl::CancelledError();  // the only reader leaves
  model_.cancelled.WaitForNotification();
  // While the cancelled one ends, the key is free: nobody joins it.
  auto again = Ask(Question("key"));
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->is_first);
  sink->OnDone(Finished(MakeError(Reason::CANCELLED, "cancelled")));
  ASSERT_EQ(ends().size(), 1u);
  EXPECT_EQ(ReasonOf(ends()[0]), Reason::CANCELLED);
  WholeReader reader(*std::move(again));
  model_.TakeSink()->OnDone(Finished());
  EXPECT_TRUE(reader.Result().status.ok());
}

TEST_F(KeyedTurnsTest, AReaderThatComesInTimeKeepsTheTurn) {
  Restart({absl::Milliseconds(500)});
  auto seat = Ask(Question("key"));
  const auto sink = model_.TakeSink();
  seat = absl::CancelledError();
  seat = Ask(Question("key"));
  ASSERT_TRUE(seat.ok());
  ASSERT_FALSE(seat->is_first) << "the machine was too slow for the window";
  absl::Notification later;
  timer_.After(absl::Milliseconds(700), [&] { later.Notify(); });
  later.WaitForNotification();
  EXPECT_FALSE(model_.cancelled.HasBeenNotified());
  sink->OnDone(Finished());
}

TEST_F(KeyedTurnsTest, TheOldestAnswersLeaveMemoryFirst) {
  Restart({absl::Hours(1), 64 * 1024});
  Answer("old", std::string(20'000, 'x'));
  Answer("new", std::string(20'000, 'y'));
  const auto resumable = [&](const std::string& key) {
    KeyedTurns::Question question = Question(key);
    question.after = 1;
    return Ask(std::move(question)).ok();
  };
  EXPECT_FALSE(resumable("old"));
  EXPECT_TRUE(resumable("new"));
  ASSERT_TRUE(writer_.Flush(kLong));
  EXPECT_EQ(WholeReader(*Ask(Question("old"))).Text(), std::string(20'000, 'x'));
  EXPECT_EQ(model_.calls(), 2);
}

TEST_F(KeyedTurnsTest, AfterTheWindowAStreamIsNotGoneOnWithButItsAnswerIsThere) {
  Answer("key", "a turtle");
  KeyedTurns::Question question = Question("key");
  question.after = 1;
  EXPECT_TRUE(Ask(question).ok());
  clock_.Advance(absl::Minutes(5));
  EXPECT_EQ(Refusal(question), Reason::STREAM_NOT_FOUND);
  ASSERT_TRUE(writer_.Flush(kLong));
  EXPECT_EQ(WholeReader(*Ask(Question("key"))).Text(), "a turtle");
  EXPECT_EQ(model_.calls(), 1);
}

TEST_F(KeyedTurnsTest, AnAnswerOutlivesTheProcess) {
  Answer("key", "a turtle");
  Restart();
  auto seat = Ask(Question("key"));
  ASSERT_TRUE(seat.ok()) << seat.status();
  EXPECT_FALSE(seat->is_first);
  EXPECT_EQ(seat->request_id, "req_1");
  EXPECT_EQ(WholeReader(*std::move(seat)).Text(), "a turtle");
  KeyedTurns::Question question = Question("key");
  question.after = 0;
  EXPECT_EQ(Refusal(std::move(question)), Reason::STREAM_NOT_FOUND);
  EXPECT_EQ(model_.calls(), 1);
}

TEST_F(KeyedTurnsTest, AStoredAnswerThatCanNotBeReadIsAskedForAnew) {
  for (const std::string& garbage : {std::string("not base64!"), absl::Base64Escape("garbage")}) {
    Answer("key" + garbage, "first");
    Restart();
    ASSERT_TRUE(
        database_
            .Write([&](storage::Session& session) {
              return session.Execute("UPDATE idempotency SET response = $1", {garbage}).status();
            })
            .ok());
    Answer("key" + garbage, "second");
    Restart();
    EXPECT_EQ(WholeReader(*Ask(Question("key" + garbage))).Text(), "second");
  }
}

TEST_F(KeyedTurnsTest, ADayLaterTheKeyIsFreeAndTheRowGone) {
  Answer("key", "a turtle");
  clock_.Advance(absl::Hours(24));
  Answer("other", "a newt");  // with it the purge comes
  EXPECT_EQ(Rows(), 1);
  Answer("key", "a frog");
  EXPECT_EQ(model_.calls(), 3);
}

TEST_F(KeyedTurnsTest, WhileTheDatabaseIsAwayNothingIsPaidTwice) {
  database_.away = true;
  EXPECT_EQ(Refusal(Question("key")), Reason::DATABASE_UNAVAILABLE);
  EXPECT_EQ(model_.calls(), 0);
  database_.away = false;
  Answer("key", "a turtle");
  database_.away = true;  // memory has it
  EXPECT_EQ(WholeReader(*Ask(Question("key"))).Text(), "a turtle");
}

TEST_F(KeyedTurnsTest, WithoutAWindowAnAnswerIsStillInMemoryUntilItIsWritten) {
  Restart({absl::ZeroDuration()});
  Answer("key", "a turtle");
  database_.away = true;
  auto seat = Ask(Question("key"));
  ASSERT_TRUE(seat.ok()) << seat.status();
  EXPECT_EQ(WholeReader(*std::move(seat)).Text(), "a turtle");
  EXPECT_EQ(model_.calls(), 1);
}

TEST_F(KeyedTurnsTest, TheDatabaseIsAskedOnceForAKeyThatRuns) {
  const auto seat = Ask(Question("key"));
  const int reads = database_.reads;
  EXPECT_EQ(reads, 1);
  const auto joined = Ask(Question("key"));
  EXPECT_EQ(database_.reads, reads);
  model_.TakeSink()->OnDone(Finished());
}

TEST_F(KeyedTurnsTest, ItsEndCancelsWhatRunsAndWaitsForIt) {
  auto seat = Ask(Question("key"));
  const auto sink = model_.TakeSink();
  std::thread model([&] {
    model_.cancelled.WaitForNotification();
    sink->OnDone(Finished(MakeError(Reason::CANCELLED, "cancelled")));
  });
  turns_.reset();
  EXPECT_EQ(ends().size(), 1u);
  model.join();
}

}  // namespace
}  // namespace aibackend::chat
