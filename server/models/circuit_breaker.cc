#include "server/models/circuit_breaker.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/models/attempts.h"
#include "server/telemetry/log.h"

namespace aibackend::models {
namespace {

using telemetry::Event;
using telemetry::Log;

// How long a probe may take isn't known; it is asked for again soon.
constexpr absl::Duration kProbeRetryAfter = absl::Seconds(1);

enum class Verdict { kSuccess, kFailure, kNeither };

Verdict VerdictOf(const absl::Status& status) {
  if (status.ok()) return Verdict::kSuccess;
  switch (ReasonOf(status)) {
    case Reason::UPSTREAM_UNAVAILABLE:
    case Reason::UPSTREAM_TIMEOUT:
    case Reason::UPSTREAM_BAD_RESPONSE:
    case Reason::UPSTREAM_TRUNCATED:
      return Verdict::kFailure;
    default:
      return Verdict::kNeither;
  }
}

// Tells the circuit how one call goes.
class WatchedSink final : public GenerateSink {
 public:
  WatchedSink(Circuit& circuit, Circuit::Ticket ticket, std::shared_ptr<GenerateSink> sink)
      : circuit_(circuit), ticket_(std::move(ticket)), sink_(std::move(sink)) {}

  void OnDelta(const Delta& delta) override {
    if (!std::exchange(any_delta_, true)) circuit_.OnFirstDelta(ticket_);
    sink_->OnDelta(delta);
  }

  // The circuit first: who hears the end may ask again at once.
  void OnDone(GenerateResult result) override {
    circuit_.OnEnd(ticket_, result.status);
    sink_->OnDone(std::move(result));
  }

 private:
  Circuit& circuit_;
  Circuit::Ticket ticket_;
  const std::shared_ptr<GenerateSink> sink_;
  bool any_delta_ = false;
};

Circuit::Options Named(Circuit::Options options, const LanguageModel& model) {
  if (options.upstream.empty()) options.upstream = model.info().description;
  return options;
}

}  // namespace

Circuit::Circuit(Clock& clock, Options options)
    : clock_(clock), options_(std::move(options)), open_for_(options_.open_for) {}

Circuit::Ticket Circuit::Admit() {
  absl::Duration left = kProbeRetryAfter;
  int failures = 0;
  {
    absl::MutexLock lock(&mutex_);
    if (state_ == State::kClosed) return {absl::OkStatus(), epoch_, false};
    const absl::Time now = clock_.Now();
    if (state_ == State::kOpen && now >= open_until_) {
      state_ = State::kProbing;
      return {absl::OkStatus(), epoch_, true};
    }
    if (state_ == State::kOpen) left = open_until_ - now;
    failures = failures_;
  }
  return {WithRetryAfter(MakeError(Reason::UPSTREAM_UNAVAILABLE,
                                   absl::StrCat(options_.upstream, " has failed ", failures,
                                                " times in a row; its circuit is open")),
                         absl::Ceil(left, absl::Milliseconds(1))),
          0, false};
}

void Circuit::OnFirstDelta(Ticket& ticket) {
  if (!ticket.is_probe) return;
  {
    absl::MutexLock lock(&mutex_);
    if (ticket.epoch != epoch_) return;
    state_ = State::kClosed;
    ticket.epoch = ++epoch_;
    ticket.is_probe = false;
  }
  Log(Event::kCircuitClosed, {{"upstream", options_.upstream}});
}

void Circuit::OnEnd(const Ticket& ticket, const absl::Status& status) {
  switch (VerdictOf(status)) {
    case Verdict::kSuccess:
      return Succeed(ticket);
    case Verdict::kFailure:
      return Fail(ticket);
    case Verdict::kNeither: {
      absl::MutexLock lock(&mutex_);
      if (ticket.is_probe && ticket.epoch == epoch_) state_ = State::kOpen;
    }
  }
}

void Circuit::Succeed(const Ticket& ticket) {
  {
    absl::MutexLock lock(&mutex_);
    if (ticket.epoch != epoch_) return;
    failures_ = 0;
    open_for_ = options_.open_for;
    if (state_ == State::kClosed) return;
    state_ = State::kClosed;
    ++epoch_;
  }
  Log(Event::kCircuitClosed, {{"upstream", options_.upstream}});
}

void Circuit::Fail(const Ticket& ticket) {
  int failures = 0;
  absl::Duration open_for;
  {
    absl::MutexLock lock(&mutex_);
    if (ticket.epoch != epoch_) return;
    failures = ++failures_;
    if (failures < options_.failures) return;
    state_ = State::kOpen;
    ++epoch_;
    open_for = std::exchange(open_for_, std::min(2 * open_for_, options_.open_max));
    open_until_ = clock_.Now() + open_for;
  }
  Log(Event::kCircuitOpened, {{"upstream", options_.upstream},
                              {"failures", failures},
                              {"open_ms", absl::ToInt64Milliseconds(open_for)}});
}

CircuitBreaker::CircuitBreaker(LanguageModel& inner, Timer& timer, Clock& clock,
                               Circuit::Options options)
    : inner_(inner), timer_(timer), circuit_(clock, Named(std::move(options), inner)) {}

std::shared_ptr<Generation> CircuitBreaker::Generate(const GenerateRequest& request,
                                                     std::shared_ptr<GenerateSink> sink) {
  Circuit::Ticket ticket = circuit_.Admit();
  if (!ticket.status.ok()) {
    return EndedGeneration(std::move(ticket.status), std::move(sink), timer_);
  }
  return inner_.Generate(
      request, std::make_shared<WatchedSink>(circuit_, std::move(ticket), std::move(sink)));
}

}  // namespace aibackend::models
