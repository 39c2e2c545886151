#include "server/access/meter_core.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"

namespace aibackend::access {
namespace {

// When a running request will end isn't known.
constexpr absl::Duration kPlaceRetryAfter = absl::Seconds(1);
// What is said where waiting doesn't help: the window of the limits that are by the minute.
constexpr absl::Duration kMinute = absl::Minutes(1);
// Of one request: a million dollars, or more tokens than any has. A sum of thousands is exact.
constexpr int64_t kAmountMax = 1'000'000'000'000'000;

Amount Bounded(const Amount& amount) {
  return {std::clamp<int64_t>(amount.tokens, 0, kAmountMax),
          {std::clamp<int64_t>(amount.money.value, 0, kAmountMax)}};
}

absl::Duration WaitOf(int64_t nanos) {
  return nanos == Gcra::kNever ? kMinute : absl::Nanoseconds(nanos);
}

// "the key's tokens_per_day (100000)"
std::string Named(Subject::Kind kind, absl::string_view limit, int64_t cap) {
  return absl::StrCat("the ", SubjectKindName(kind), "'s ", limit, " (", cap, ")");
}

Refusal ShortOf(Subject::Kind kind, const QuotaBook::Shortage& shortage, const Amount& upper) {
  const bool is_money = shortage.limit->is_money;
  return {
      kind, shortage.limit->name,
      absl::StrCat(Named(kind, shortage.limit->name, shortage.cap), " is used up: ", shortage.used,
                   " used, ", shortage.reserved, " reserved, and this request may take ",
                   is_money ? upper.money.value : upper.tokens),
      shortage.wait};
}

// The tokens that `money` buys at a price above 0.
int64_t TokensFor(int64_t money, int64_t nano_usd_per_million_tokens) {
  const __int128 tokens = static_cast<__int128>(money) * 1'000'000 / nano_usd_per_million_tokens;
  return static_cast<int64_t>(std::min<__int128>(tokens, INT64_MAX));
}

absl::Status NotKnown(const Subject& subject, const absl::Status& status) {
  return MakeError(Reason::DATABASE_UNAVAILABLE,
                   absl::StrCat("what the ", SubjectKindName(subject.kind),
                                " has used can't be read now: ", status.message()));
}

}  // namespace

MeterCore::MeterCore(Clock& clock, SpentSource& spent, const Meter::Options& options)
    : clock_(clock),
      spent_(spent),
      mode_(options.mode),
      on_limited_(options.on_limited),
      table_(options.subjects_max) {}

int64_t MeterCore::NowNanos() const {
  return std::max<int64_t>(absl::ToUnixNanos(clock_.Now()), 0);
}

absl::Status MeterCore::Enter(MeteredRequest& request) {
  const absl::MutexLock lock(&mutex_);
  const int64_t now = NowNanos();
  for (Share& share : request.shares()) {
    if (share.limits) share.state = &table_.Pin(share.subject, now);
  }
  const absl::optional<Refusal> refusal = RateRefusal(request, now);
  if (refusal && on_limited_) on_limited_(refusal->name(), enforces());
  if (refusal && enforces()) {
    NoteRate(request, now);
    Unpin(request);
    absl::Status refused = RefusalError(Reason::RATE_LIMITED, *refusal);
    return request.rate ? WithRate(std::move(refused), *request.rate) : refused;
  }
  if (refusal) request.shadow_limit = refusal->name();
  for (Share& share : request.shares()) {
    if (!share.state) continue;
    ++share.state->concurrent;
    // An arrival that doesn't conform moves nothing, also where it is let through: so shadow mode
    // names those that enforcing would refuse, and not all that come after them.
    if (refusal || !share.limits->requests_per_minute) continue;
    const Gcra rate = Gcra::OfRequests(*share.limits->requests_per_minute);
    share.state->requests_tat = Gcra::Take(share.state->requests_tat, now, rate.CostOf(1));
  }
  NoteRate(request, now);
  return absl::OkStatus();
}

absl::optional<Refusal> MeterCore::RateRefusal(const MeteredRequest& request, int64_t now) {
  absl::optional<Refusal> refusal;
  for (const Share& share : request.shares()) {
    if (!share.state) continue;
    const Subject::Kind kind = share.subject.kind;
    if (const auto& cap = share.limits->requests_per_minute) {
      const Gcra rate = Gcra::OfRequests(*cap);
      share.state->requests_tat = rate.Settled(share.state->requests_tat, now);
      const int64_t wait = rate.WaitFor(share.state->requests_tat, now, rate.CostOf(1));
      if (wait > 0) {
        AddRefusal(refusal, {kind, "requests_per_minute",
                             Named(kind, "requests_per_minute", *cap) + " is used up for now",
                             WaitOf(wait)});
      }
    }
    const auto& cap = share.limits->concurrent;
    if (cap && share.state->concurrent >= *cap) {
      AddRefusal(refusal, {kind, "concurrent",
                           Named(kind, "concurrent", *cap) + " is used up by requests under way",
                           *cap > 0 ? kPlaceRetryAfter : kMinute});
    }
  }
  return refusal;
}

void MeterCore::NoteRate(MeteredRequest& request, int64_t now) {
  for (const Share& share : request.shares()) {
    if (!share.state || !share.limits->requests_per_minute) continue;
    const int64_t limit = *share.limits->requests_per_minute;
    const Gcra rate = Gcra::OfRequests(limit);
    const int64_t tat = share.state->requests_tat;
    const RateState state{limit, rate.RoomAt(tat, now) / rate.CostOf(1),
                          absl::Nanoseconds(std::max<int64_t>(tat - now, 0))};
    if (!request.rate || state.remaining < request.rate->remaining) request.rate = state;
  }
}

absl::Status MeterCore::Reserve(MeteredRequest& request, Amount upper) {
  upper = Bounded(upper);
  const absl::MutexLock lock(&mutex_);
  if (request.is_over || request.reserved) {
    return MakeError(Reason::INTERNAL, "a request reserves once, before it settles");
  }
  absl::Status known = LoadBooks(request);
  if (!known.ok() && enforces()) return known;
  auto reason = Reason::QUOTA_EXCEEDED;
  absl::optional<Refusal> refusal = QuotaRefusal(request, upper);
  if (!refusal) {
    reason = Reason::RATE_LIMITED;
    refusal = TokenRateRefusal(request, upper.tokens);
  }
  if (refusal && on_limited_) on_limited_(refusal->name(), enforces());
  if (refusal && enforces()) return RefusalError(reason, *refusal);
  if (refusal && request.shadow_limit.empty()) request.shadow_limit = refusal->name();
  request.spares_tokens = refusal.has_value();
  Take(request, upper);
  return absl::OkStatus();
}

absl::optional<Refusal> MeterCore::QuotaRefusal(const MeteredRequest& request,
                                                const Amount& upper) {
  const absl::Time now = clock_.Now();
  const Period period = PeriodOf(request.created_at);
  absl::optional<Refusal> refusal;
  for (const Share& share : request.shares()) {
    QuotaBook* const book = share.KnownBook(period);
    if (!book) continue;  // it has no quota; or, in shadow mode, the database is away
    const auto shortage = book->ShortageOf(*share.limits, period, upper, now);
    if (shortage) AddRefusal(refusal, ShortOf(share.subject.kind, *shortage, upper));
  }
  return refusal;
}

absl::optional<Refusal> MeterCore::TokenRateRefusal(const MeteredRequest& request, int64_t tokens) {
  const int64_t now = NowNanos();
  absl::optional<Refusal> refusal;
  for (const Share& share : request.shares()) {
    if (!share.state || !share.limits->tokens_per_minute) continue;
    const int64_t cap = *share.limits->tokens_per_minute;
    const Gcra rate = Gcra::OfTokens(cap);
    share.state->tokens.Settle(now);
    const int64_t wait = rate.WaitFor(share.state->tokens.tat(), now, rate.CostOf(tokens));
    if (wait == 0) continue;
    const Subject::Kind kind = share.subject.kind;
    AddRefusal(refusal, {kind, "tokens_per_minute",
                         absl::StrCat(Named(kind, "tokens_per_minute", cap),
                                      wait == Gcra::kNever ? " can never let through"
                                                           : " has no room for now for",
                                      " this request, which may take ", tokens, " tokens"),
                         WaitOf(wait)});
  }
  return refusal;
}

void MeterCore::Take(MeteredRequest& request, const Amount& upper) {
  const int64_t now = NowNanos();
  const Period period = PeriodOf(request.created_at);
  for (Share& share : request.shares()) {
    if (!share.state) continue;
    if (QuotaBook* const book = share.KnownBook(period)) {
      book->Reserve(period, upper);
      share.is_reserved = true;
    }
    if (share.limits->tokens_per_minute && !request.spares_tokens) {
      const Gcra rate = Gcra::OfTokens(*share.limits->tokens_per_minute);
      share.tokens = share.state->tokens.Take(now, rate.CostOf(upper.tokens));
    }
  }
  request.reserved = upper;
}

absl::optional<int64_t> MeterCore::TokensLeft(MeteredRequest& request,
                                              int64_t nano_usd_per_million_tokens) {
  if (!enforces()) return absl::nullopt;
  const absl::MutexLock lock(&mutex_);
  if (request.is_over) return 0;
  if (!LoadBooks(request).ok()) return absl::nullopt;
  const absl::Time now = clock_.Now();
  const Period period = PeriodOf(request.created_at);
  int64_t left = INT64_MAX;
  bool is_limited = false;
  const auto limit_to = [&](int64_t tokens) {
    left = std::min(left, tokens);
    is_limited = true;
  };
  for (const Share& share : request.shares()) {
    if (!share.state) continue;
    if (const auto& cap = share.limits->tokens_per_minute) limit_to(*cap);
    if (!share.has_quota) continue;
    for (const QuotaLimit& limit : kQuotaLimits) {
      const absl::optional<int64_t>& cap = (*share.limits).*limit.cap;
      if (!cap) continue;
      const int64_t room = share.state->book->Left(limit, *cap, period, now);
      if (!limit.is_money || *cap <= 0) {
        limit_to(room);
      } else if (nano_usd_per_million_tokens > 0) {
        limit_to(TokensFor(room, nano_usd_per_million_tokens));
      }
    }
  }
  return is_limited ? absl::make_optional(left) : absl::nullopt;
}

bool MeterCore::MayCount(const MeteredRequest& request) const {
  const auto shares = request.shares();
  return std::any_of(shares.begin(), shares.end(),
                     [&](const Share& share) { return table_.MayHaveBook(share.subject); });
}

void MeterCore::End(MeteredRequest& request, absl::optional<Amount> actual) {
  if (request.is_over) return;
  if (actual) actual = Bounded(*actual);
  if (request.is_limited || (actual && MayCount(request))) {
    const absl::MutexLock lock(&mutex_);
    for (Share& share : request.shares()) EndShare(request, share, actual);
    Unpin(request);
  }
  request.reserved.reset();
  request.is_over = true;
}

void MeterCore::EndShare(MeteredRequest& request, Share& share,
                         const absl::optional<Amount>& actual) {
  SubjectState* const state = share.state ? share.state : table_.Find(share.subject);
  if (!state) return;
  const Period period = PeriodOf(request.created_at);
  if (share.is_reserved) state->book->Release(period, *request.reserved);
  if (actual && state->book) state->book->Use(period, *actual, clock_.Now());
  if (!share.state) return;
  --state->concurrent;
  if (!share.limits->tokens_per_minute || request.spares_tokens) return;
  const Gcra rate = Gcra::OfTokens(*share.limits->tokens_per_minute);
  state->tokens.Correct(share.tokens, NowNanos(), rate.CostOf(actual ? actual->tokens : 0));
}

void MeterCore::Unpin(MeteredRequest& request) {
  for (Share& share : request.shares()) {
    if (share.state) table_.Unpin(*std::exchange(share.state, nullptr));
  }
}

absl::Status MeterCore::LoadBooks(MeteredRequest& request) {
  const Period period = PeriodOf(request.created_at);
  const auto is_known = [&](const Share& share) {
    return !share.has_quota || share.KnownBook(period) != nullptr;
  };
  const auto shares = request.shares();
  while (!std::all_of(shares.begin(), shares.end(), is_known)) {
    for (const Share& share : shares) {
      if (share.has_quota) AIB_RETURN_IF_ERROR(LoadBook(*share.state, period));
    }
  }
  return absl::OkStatus();
}

// Who comes while a load is under way takes its error too: a database that is away is asked once by
// all, not by each in turn.
absl::Status MeterCore::LoadBook(SubjectState& state, const Period& period) {
  while (!table_.BookOf(state, clock_.Now()).Knows(period)) {
    std::shared_ptr<BookLoad> load = state.load;
    if (load) {
      while (!load->done) loaded_.Wait(&mutex_);
      AIB_RETURN_IF_ERROR(load->status);
      continue;
    }
    load = state.load = std::make_shared<BookLoad>();
    state.book->BeginLoad(period);
    mutex_.Unlock();
    const absl::StatusOr<Spent> spent =
        spent_.SpentBy(*state.name, DayStart(period.day), MonthStart(period.month));
    mutex_.Lock();
    if (spent.ok()) {
      state.book->EndLoad(*spent, clock_.Now());
    } else {
      state.book->FailLoad();
      load->status = NotKnown(*state.name, spent.status());
    }
    load->done = true;
    state.load.reset();
    loaded_.SignalAll();
    AIB_RETURN_IF_ERROR(load->status);
  }
  return absl::OkStatus();
}

absl::StatusOr<QuotaState> MeterCore::StateOf(const Subject& subject, const Limits& limits) {
  const absl::MutexLock lock(&mutex_);
  SubjectState& state = table_.Pin(subject, NowNanos());
  const Period period = PeriodOf(clock_.Now());
  absl::Status known;  // an address has no quotas, and the ledger doesn't know it
  if (subject.kind != Subject::Kind::kAddress) known = LoadBook(state, period);
  const absl::Time now = clock_.Now();
  QuotaBook empty(absl::UnixEpoch());  // knows of now that nothing was used
  QuotaBook& book = known.ok() && state.book ? *state.book : empty;
  const QuotaState shown{limits, book.DayOf(period, now), book.MonthOf(period, now),
                         state.concurrent};
  table_.Unpin(state);
  if (!known.ok()) return known;
  return shown;
}

}  // namespace aibackend::access
