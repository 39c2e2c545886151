// CircuitBreaker and ConcurrencyCap.
#include <gmock/gmock.h>

#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "server/models/circuit_breaker.h"
#include "server/models/concurrency_cap.h"
#include "tests/unit/server/models/router_fixture.h"

namespace aibackend::models {
namespace {

using ::testing::HasSubstr;

Circuit::Options ThreeFailures() {
  Circuit::Options options;
  options.failures = 3;
  options.open_for = absl::Seconds(10);
  options.open_max = absl::Seconds(35);
  return options;
}

class BreakerTest : public ::testing::Test {
 protected:
  std::shared_ptr<CallOfTest> Pass() {
    sink = std::make_shared<SinkOfTest>();
    const size_t calls = model.calls();
    generation = breaker.Generate(Asking("Hello"), sink);
    EXPECT_EQ(model.calls(), calls + 1) << "refused";
    return model.Call(calls);
  }
  void ExpectRefused() { EXPECT_EQ(ReasonOf(Refusal()), Reason::UPSTREAM_UNAVAILABLE); }
  absl::Status Refusal() {
    sink = std::make_shared<SinkOfTest>();
    const size_t calls = model.calls();
    breaker.Generate(Asking("Hello"), sink);
    EXPECT_EQ(model.calls(), calls) << "passed";
    EXPECT_EQ(sink->WaitDone().upstream_calls, 0);
    return sink->WaitDone().status;
  }
  void Open() {
    for (int i = 0; i < 3; ++i) Pass()->End(Reason::UPSTREAM_UNAVAILABLE);
  }

  ModelOfTest model{"small"};
  Timer timer;
  FakeClock clock;
  CircuitBreaker breaker{model, timer, clock, ThreeFailures()};
  std::shared_ptr<SinkOfTest> sink;
  std::shared_ptr<Generation> generation;
};

TEST_F(BreakerTest, OpensAfterFailuresInARowAndSaysWhenToComeBack) {
  Pass()->End(Reason::UPSTREAM_TIMEOUT);
  Pass()->End(Reason::UPSTREAM_BAD_RESPONSE);
  const auto third = Pass();
  third->Say("Half");
  third->End(Reason::UPSTREAM_TRUNCATED);
  clock.Advance(absl::Seconds(4));
  const absl::Status refusal = Refusal();
  EXPECT_EQ(ReasonOf(refusal), Reason::UPSTREAM_UNAVAILABLE);
  EXPECT_EQ(RetryAfterOf(refusal), absl::Seconds(6));
  EXPECT_EQ(std::string(refusal.message()),
            "small at http://upstream.test has failed 3 times in a row; its circuit is open");
}

TEST_F(BreakerTest, ASuccessStartsTheRowAnewAndOtherEndsCountNeitherWay) {
  for (int i = 0; i < 2; ++i) Pass()->End(Reason::UPSTREAM_UNAVAILABLE);
  Pass()->End();
  for (int i = 0; i < 2; ++i) Pass()->End(Reason::UPSTREAM_UNAVAILABLE);
  for (const auto reason : {Reason::CANCELLED, Reason::UPSTREAM_REJECTED_REQUEST,
                            Reason::UPSTREAM_RATE_LIMITED, Reason::OVERLOADED}) {
    Pass()->End(reason);
  }
  Pass()->End(Reason::UPSTREAM_UNAVAILABLE);
  ExpectRefused();
}

TEST_F(BreakerTest, OneProbeAtATimeAndEachFailedOneDoublesTheWait) {
  Open();
  for (const int seconds : {10, 20, 35, 35}) {
    clock.Advance(absl::Seconds(seconds) - absl::Milliseconds(1));
    EXPECT_EQ(RetryAfterOf(Refusal()), absl::Milliseconds(1));
    clock.Advance(absl::Milliseconds(1));
    const auto probe = Pass();
    ExpectRefused();
    probe->End(Reason::UPSTREAM_UNAVAILABLE);
  }
  clock.Advance(absl::Seconds(35));
  Pass()->End();
  Open();
  clock.Advance(absl::Seconds(10));
  Pass();
}

TEST_F(BreakerTest, ACancelledProbeMakesRoomForTheNext) {
  Open();
  clock.Advance(absl::Seconds(10));
  const auto probe = Pass();
  generation->Cancel();
  EXPECT_TRUE(probe->is_cancelled);
  probe->End(Reason::CANCELLED);
  const auto next = Pass();
  ExpectRefused();
  next->End();
  Pass();
}

TEST_F(BreakerTest, AProbesFirstDeltaLetsOthersInAndItsTruncationKeepsThemOutAgain) {
  Open();
  clock.Advance(absl::Seconds(10));
  const auto probe = Pass();
  probe->Say("Once");
  const auto other = Pass();
  probe->End(Reason::UPSTREAM_TRUNCATED);
  EXPECT_EQ(RetryAfterOf(Refusal()), absl::Seconds(20));
  other->End();  // began before the circuit opened again: it says nothing of now
  EXPECT_EQ(RetryAfterOf(Refusal()), absl::Seconds(20));
}

// What the header says, in the plainest way: who counts is a set, not an epoch.
struct ReferenceCircuit {
  std::set<size_t> counted;
  bool open = false;
  absl::optional<size_t> probe;
  int row = 0;
  absl::Duration next = absl::Seconds(10);
  absl::Time until;

  bool Admit(size_t id, absl::Time now) {
    if (open && (now < until || probe)) return false;
    if (open) probe = id;
    counted.insert(id);
    return true;
  }
  void FirstDelta(size_t id) {
    if (probe != id) return;
    open = false;
    probe.reset();
    counted = {id};
  }
  void End(size_t id, int verdict, absl::Time now) {
    if (counted.erase(id) == 0) return;
    const bool was_probe = probe == id;
    if (was_probe) probe.reset();
    if (verdict > 0) {
      row = 0;
      next = absl::Seconds(10);
      if (was_probe) counted.clear();
      open = false;
    } else if (verdict < 0 && ++row >= 3) {
      open = true;
      until = now + next;
      next = std::min(2 * next, absl::Seconds(35));
      counted.clear();
    }
  }
};

TEST(CircuitTest, DoesWhatAPlainReferenceDoes) {
  const auto seed = static_cast<uint32_t>(absl::ToUnixNanos(absl::Now()));
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  std::mt19937 random(seed);
  FakeClock clock;
  Circuit::Options options = ThreeFailures();
  options.upstream = "it";
  Circuit circuit(clock, options);
  ReferenceCircuit reference;
  std::vector<std::pair<size_t, Circuit::Ticket>> running;
  const absl::Status ends[] = {MakeError(Reason::UPSTREAM_TIMEOUT, ""),
                               MakeError(Reason::CANCELLED, ""), absl::OkStatus()};
  size_t refused = 0;
  for (size_t id = 0; id < 20'000; ++id) {
    clock.Advance(absl::Seconds(random() % 4));
    Circuit::Ticket ticket = circuit.Admit();
    ASSERT_EQ(ticket.status.ok(), reference.Admit(id, clock.Now())) << id;
    if (ticket.status.ok()) running.emplace_back(id, ticket);
    refused += ticket.status.ok() ? 0 : 1;
    while (!running.empty() && random() % 3 != 0) {
      const size_t at = random() % running.size();
      if (random() % 3 == 0) {
        circuit.OnFirstDelta(running[at].second);
        reference.FirstDelta(running[at].first);
        continue;
      }
      const int verdict = random() % 4 == 0 ? static_cast<int>(random() % 2) : -1;
      circuit.OnEnd(running[at].second, ends[verdict + 1]);
      reference.End(running[at].first, verdict, clock.Now());
      running.erase(running.begin() + static_cast<ptrdiff_t>(at));
    }
  }
  EXPECT_GT(refused, 1000U);
  EXPECT_LT(refused, 19'000U);
}

class CapTest : public ::testing::Test {
 protected:
  struct Asked {
    std::shared_ptr<SinkOfTest> sink = std::make_shared<SinkOfTest>();
    std::shared_ptr<Generation> generation;
  };
  Asked Ask(ConcurrencyCap& at, std::string text) {
    Asked asked;
    asked.generation = at.Generate(Asking(std::move(text)), asked.sink);
    return asked;
  }
  std::string TextOfCall(size_t number) {
    return model.Call(number)->request.messages.at(0).content;
  }

  ModelOfTest model{"small"};
  Timer timer;
  ConcurrencyCap cap{model, timer, {2, 3, absl::Hours(1)}};
};

TEST_F(CapTest, SoManyRunSoManyWaitInOrderAndMoreAreRefused) {
  std::vector<Asked> asked;
  for (const char* name : {"a", "b", "c", "d", "e", "f"}) asked.push_back(Ask(cap, name));
  EXPECT_EQ(model.calls(), 2U);
  const GenerateResult refused = asked[5].sink->WaitDone();
  EXPECT_EQ(ReasonOf(refused.status), Reason::OVERLOADED);
  EXPECT_EQ(RetryAfterOf(refused.status), absl::Seconds(1));
  EXPECT_EQ(refused.upstream_calls, 0);

  model.Call(1)->End();
  EXPECT_EQ(TextOfCall(2), "c");
  model.Call(0)->End(Reason::UPSTREAM_UNAVAILABLE);
  EXPECT_EQ(TextOfCall(3), "d");
  model.Call(2)->Say("to c");
  model.Call(2)->End();
  EXPECT_EQ(asked[2].sink->text(), "to c");
  EXPECT_EQ(TextOfCall(4), "e");
  for (const size_t number : {3, 4}) model.Call(number)->End();
  for (Asked& one : asked) EXPECT_EQ(one.sink->ends(), 1);
  EXPECT_EQ(model.calls(), 5U);
}

TEST_F(CapTest, CancellingOneThatWaitsFreesItsPlaceAtOnce) {
  std::vector<Asked> asked;
  for (const char* name : {"a", "b", "c", "d", "e"}) asked.push_back(Ask(cap, name));
  asked[3].generation->Cancel();
  asked[3].generation->Cancel();
  asked.push_back(Ask(cap, "f"));
  EXPECT_EQ(ReasonOf(asked[3].sink->WaitDone().status), Reason::CANCELLED);
  EXPECT_EQ(asked[5].sink->ends(), 0);
  for (size_t number = 0; number < 5; ++number) model.Call(number)->End();
  EXPECT_EQ(TextOfCall(3), "e");
  EXPECT_EQ(TextOfCall(4), "f");
  EXPECT_EQ(model.calls(), 5U);
}

TEST_F(CapTest, CancelReachesOneThatWaitedAndRuns) {
  ConcurrencyCap single(model, timer, {1, 1, absl::Hours(1)});
  Ask(single, "a");
  Asked waited = Ask(single, "b");
  model.Call(0)->End();
  waited.generation->Cancel();
  EXPECT_TRUE(model.Call(1)->is_cancelled);
  model.Call(1)->End(Reason::CANCELLED);
  EXPECT_EQ(waited.sink->ends(), 1);
}

// Between the end of the one and the start of the next, those who hear the end may do anything.
TEST_F(CapTest, WhoIsCancelledWhileItsPlaceIsHandedOnIsNotStarted) {
  class CancellingSink final : public GenerateSink {
   public:
    void OnDelta(const Delta&) override {}
    void OnDone(GenerateResult) override {
      for (Asked* asked : cancelled) asked->generation->Cancel();
    }
    std::vector<Asked*> cancelled;
  };
  ConcurrencyCap single(model, timer, {1, 3, absl::Hours(1)});
  const auto first = std::make_shared<CancellingSink>();
  single.Generate(Asking("a"), first);
  Asked handed_on = Ask(single, "b");
  Asked next = Ask(single, "c");
  first->cancelled = {&handed_on};
  model.Call(0)->End();
  const GenerateResult result = handed_on.sink->WaitDone();
  EXPECT_EQ(ReasonOf(result.status), Reason::CANCELLED);
  EXPECT_EQ(result.upstream_calls, 0);
  EXPECT_EQ(TextOfCall(1), "c");
  model.Call(1)->End();
  EXPECT_EQ(next.sink->ends(), 1);
  EXPECT_EQ(model.calls(), 2U);
}

TEST_F(CapTest, WhoWaitsTooLongIsRefusedAndItsPlaceIsFree) {
  ConcurrencyCap impatient(model, timer, {1, 1, absl::Milliseconds(1)});
  Ask(impatient, "a");
  for (int i = 0; i < 3; ++i) {
    const absl::Status status = Ask(impatient, "b").sink->WaitDone().status;
    EXPECT_EQ(ReasonOf(status), Reason::OVERLOADED);
    EXPECT_THAT(std::string(status.message()), HasSubstr("has waited 1ms"));
  }
  model.Call(0)->End();
  EXPECT_EQ(model.calls(), 1U);
}

}  // namespace
}  // namespace aibackend::models
