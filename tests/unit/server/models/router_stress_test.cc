// All decorators around models that end at any moment, while others cancel.
#include <random>
#include <thread>

#include "server/base/executor.h"
#include "server/models/balance.h"
#include "server/models/circuit_breaker.h"
#include "server/models/concurrency_cap.h"
#include "server/models/fallback.h"
#include "server/models/retry.h"
#include "server/telemetry/log.h"
#include "tests/unit/server/models/router_fixture.h"

namespace aibackend::models {
namespace {

// The circuits of this program open and close some thousand times.
class QuietLog final : public ::testing::Environment {
  void SetUp() override { ASSERT_TRUE(telemetry::StartLog("off").ok()); }
};
const auto* const kQuietLog = ::testing::AddGlobalTestEnvironment(new QuietLog);

// Fails, answers, breaks off or hangs until it is cancelled, on the threads of an executor.
class ErraticModel final : public LanguageModel {
 public:
  explicit ErraticModel(Executor& executor) : executor_(executor) {}

  ModelInfo info() const override { return ModelOfTest("erratic").info(); }
  std::shared_ptr<Generation> Generate(const GenerateRequest&,
                                       std::shared_ptr<GenerateSink> sink) override {
    const int number = calls.fetch_add(1);
    int most = running_most;
    const int now = ++running_;
    while (now > most && !running_most.compare_exchange_weak(most, now)) continue;
    auto call = std::make_shared<Call>(*this, number, std::move(sink));
    EXPECT_TRUE(executor_.TrySubmit([call] { call->Go(); }));
    return call;
  }

  std::atomic<int> calls{0};
  std::atomic<int> running_most{0};

 private:
  class Call final : public Generation, public std::enable_shared_from_this<Call> {
   public:
    Call(ErraticModel& model, int number, std::shared_ptr<GenerateSink> sink)
        : model_(model), number_(number), sink_(std::move(sink)) {}

    void Cancel() override {
      EXPECT_TRUE(model_.executor_.TrySubmit([self = shared_from_this()] {
        absl::MutexLock lock(&self->mutex_);
        self->End(MakeError(Reason::CANCELLED, ""));
      }));
    }

    void Go() {
      absl::MutexLock lock(&mutex_);
      if (!sink_) return;
      if (number_ % 3 == 0) sink_->OnDelta(Delta("x"));
      switch (number_ % 8) {
        case 0:
          return;  // hangs
        case 1:
        case 2:
          return End(absl::OkStatus());
        case 3:
          return End(MakeError(Reason::UPSTREAM_TRUNCATED, ""));
        case 4:
          return End(LimitedFor(absl::Milliseconds(1)));
        case 5:
          return End(MakeError(Reason::UPSTREAM_TIMEOUT, ""));
        default:
          return End(MakeError(Reason::UPSTREAM_UNAVAILABLE, ""));
      }
    }

   private:
    void End(absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      if (!sink_) return;
      GenerateResult result;
      result.status = std::move(status);
      result.upstream_calls = 1;
      --model_.running_;
      std::exchange(sink_, nullptr)->OnDone(std::move(result));
    }

    ErraticModel& model_;
    const int number_;
    absl::Mutex mutex_;
    std::shared_ptr<GenerateSink> sink_ ABSL_GUARDED_BY(mutex_);
  };

  Executor& executor_;
  std::atomic<int> running_{0};
};

TEST(RouterStressTest, EveryGenerationEndsOnceAndEveryUpstreamCallIsInOneAccount) {
  constexpr int kThreads = 8;
  constexpr int kGenerations = 400;  // a thread
  Timer timer;
  SystemClock clock;
  Executor executor(4, 1'000'000);
  ErraticModel a(executor);
  ErraticModel b(executor);
  ErraticModel other(executor);
  std::atomic<uint32_t> next{1};
  const auto random = [&next] { return (next.fetch_add(1) * 2654435761U) / 4294967296.0; };

  ConcurrencyCap cap_a(a, timer, {3, 4, absl::Milliseconds(2)});
  ConcurrencyCap cap_b(b, timer, {3, 4, absl::Milliseconds(2)});
  const Circuit::Options open = {4, absl::Microseconds(100), absl::Milliseconds(1), "it"};
  CircuitBreaker breaker_a(cap_a, timer, clock, open);
  CircuitBreaker breaker_b(cap_b, timer, clock, open);
  Balance balance(a.info(), {{&breaker_a, 1}, {&breaker_b, 1}}, timer, random);
  const Retry::Options retries = {2, absl::Microseconds(50), absl::Milliseconds(1),
                                  absl::Milliseconds(5), random};
  Retry retry(balance, timer, retries);
  Retry retry_other(other, timer, retries);
  Fallback model({&retry, &retry_other}, timer);

  std::vector<std::thread> threads;
  std::atomic<int> accounted{0};
  std::atomic<int> ended_well{0};
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 dice(static_cast<uint32_t>(t));
      std::vector<std::pair<std::shared_ptr<SinkOfTest>, std::shared_ptr<Generation>>> started;
      for (int i = 0; i < kGenerations; ++i) {
        auto sink = std::make_shared<SinkOfTest>();
        auto generation = model.Generate(Asking("Hello"), sink);
        for (uint32_t spins = dice() % 200; spins > 0; --spins) std::this_thread::yield();
        if (i % 2 == 0) generation->Cancel();
        started.emplace_back(std::move(sink), std::move(generation));
        if (i % 16 != 15) continue;
        for (auto& one : started) one.second->Cancel();
        for (auto& one : started) {
          const GenerateResult result = one.first->WaitDone();
          accounted += result.upstream_calls;
          ended_well += result.status.ok() ? 1 : 0;
        }
        started.clear();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  RunWhatIsDue(timer);
  EXPECT_EQ(accounted, a.calls + b.calls + other.calls);
  EXPECT_GT(ended_well, 0);
  EXPECT_GT(a.calls, 0);
  EXPECT_LE(a.running_most, 3);
  EXPECT_LE(b.running_most, 3);
}

}  // namespace
}  // namespace aibackend::models
