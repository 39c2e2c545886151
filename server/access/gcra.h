// GCRA, the generic cell rate algorithm, in its virtual-scheduling form (ITU-T I.371).
//
// All that is kept of a rate is one time, the TAT (theoretical arrival time): when the last unit
// that was let through would have come, had all come evenly. A unit is due T after the one before;
// an arrival at `now` conforms where TAT is ahead of `now` by no more than the tolerance tau, and
// moves it: TAT' = max(TAT, now) + T. One that doesn't conform moves nothing.
//
// Here one arrival may be of several units, which cost that many T together, and tau is written as
// the burst, which is tau + T: an arrival conforms where max(TAT, now) + cost - now <= burst. For
// one unit that is the same rule. Times are integer nanoseconds since 1970, costs are rounded up,
// sums stop at the greatest number: there is no drift and nothing wraps.
#pragma once

#include <cstdint>

namespace aibackend::access {

class Gcra {
 public:
  // `per_minute` requests, evenly; at once, after a pause, as many as come in ten seconds, at least
  // one. 0: none, ever.
  static Gcra OfRequests(int64_t per_minute);
  // `per_minute` tokens, evenly; at once, after a pause, a minute's worth. 0: none, ever.
  static Gcra OfTokens(int64_t per_minute);

  // In nanoseconds; of no units, nothing.
  int64_t CostOf(int64_t units) const;

  static constexpr int64_t kNever = INT64_MAX;
  // How long an arrival of this cost has to wait to conform: 0, it conforms now; kNever, it is
  // greater than the burst. Exact: with the clock at now + WaitFor it conforms, 1 ns sooner it
  // doesn't.
  int64_t WaitFor(int64_t tat, int64_t now, int64_t cost) const;

  // The furthest that arrivals which conformed can have moved TAT: one that is ahead of it is of a
  // clock that was set back since, and would refuse all for as long.
  int64_t Settled(int64_t tat, int64_t now) const;

  // TAT after an arrival of this cost, conforming or not.
  static int64_t Take(int64_t tat, int64_t now, int64_t cost);

  // The greatest cost that conforms now, and the most units that cost no more than `room`.
  int64_t RoomAt(int64_t tat, int64_t now) const;
  int64_t UnitsIn(int64_t room) const;

 private:
  Gcra(int64_t per_minute, int64_t burst) : per_minute_(per_minute), burst_(burst) {}

  int64_t per_minute_;
  int64_t burst_;  // nanoseconds
};

// The state of a rate whose costs are known only afterwards: the bound is taken, and what wasn't
// used is given back. Costs and times are in nanoseconds, as above. Not thread-safe.
//
// What was taken drains with time, the oldest first. Only what hasn't drained yet can be given
// back: a request that held its bound for a minute has held up others for that minute, and giving
// all of it back would let through more than the limit. So a charge remembers where it ends, and
// what was given back since brings its end nearer; of later charges too, which errs to the strict
// side.
class TokenBucket {
 public:
  struct Charge {
    int64_t cost = 0;
    int64_t end = 0;  // the TAT that it made
    int64_t given_back_before = 0;
  };

  int64_t tat() const { return tat_; }
  // As Gcra::Settled; of a limit on tokens.
  void Settle(int64_t now);
  Charge Take(int64_t now, int64_t cost);
  // The charge turns out to be `actual`. Of what is more than its cost no more is taken than is
  // there: nobody waits longer than a minute for a bound that was wrong, or that wasn't there.
  void Correct(const Charge& charge, int64_t now, int64_t actual);

 private:
  int64_t tat_ = 0;
  int64_t given_back_ = 0;  // ever
};

}  // namespace aibackend::access
