#include "server/access/metered_request.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/status.h"

namespace aibackend::access {
namespace {

constexpr char kRateUrl[] = "aibackend.v1/rate";  // "limit remaining reset-in-ns"

}  // namespace

const char* SubjectKindName(Subject::Kind kind) {
  switch (kind) {
    case Subject::Kind::kKey:
      return "key";
    case Subject::Kind::kUser:
      return "user";
    case Subject::Kind::kTenant:
      return "tenant";
    case Subject::Kind::kAddress:
      break;
  }
  return "address";
}

QuotaBook* Share::KnownBook(const Period& period) const {
  if (!has_quota || !state || !state->book || !state->book->Knows(period)) return nullptr;
  return state->book.get();
}

std::string Refusal::name() const {
  return absl::StrCat(SubjectKindName(kind), ".", limit);
}

void AddRefusal(absl::optional<Refusal>& all, Refusal refusal) {
  if (all) {
    all->wait = std::max(all->wait, refusal.wait);
  } else {
    all = std::move(refusal);
  }
}

// The wire has whole milliseconds: the next one, as in that of before it wouldn't conform yet.
absl::Status RefusalError(v1::Error::Reason reason, const Refusal& refusal) {
  return WithRetryAfter(MakeError(reason, refusal.message),
                        absl::Ceil(refusal.wait, absl::Milliseconds(1)));
}

absl::Status WithRate(absl::Status refused, const RateState& rate) {
  refused.SetPayload(kRateUrl, absl::Cord(absl::StrCat(rate.limit, " ", rate.remaining, " ",
                                                       absl::ToInt64Nanoseconds(rate.reset))));
  return refused;
}

absl::optional<RateState> RateOf(const absl::Status& refused) {
  const auto payload = refused.GetPayload(kRateUrl);
  if (!payload) return absl::nullopt;
  const std::vector<std::string> numbers = absl::StrSplit(std::string(*payload), ' ');
  RateState rate;
  int64_t reset = 0;
  if (numbers.size() != 3 || !absl::SimpleAtoi(numbers[0], &rate.limit) ||
      !absl::SimpleAtoi(numbers[1], &rate.remaining) || !absl::SimpleAtoi(numbers[2], &reset)) {
    return absl::nullopt;
  }
  rate.reset = absl::Nanoseconds(reset);
  return rate;
}

MeteredRequest::MeteredRequest(const Caller& caller, absl::Time created, const LimitSource& source)
    : created_at(created) {
  const Principal& principal = caller.principal;
  const auto add = [&](Subject subject, std::shared_ptr<const Limits> own) {
    auto limits = own ? std::move(own) : source.LimitsOf(subject);
    Add(std::move(subject), std::move(limits));
  };
  if (!principal.key_id.empty()) {
    add({Subject::Kind::kKey, "", principal.key_id}, principal.limits);
  }
  if (!caller.user.empty()) add({Subject::Kind::kUser, principal.tenant, caller.user}, nullptr);
  if (!principal.tenant.empty()) add({Subject::Kind::kTenant, principal.tenant, ""}, nullptr);
  if (!caller.address.empty()) add({Subject::Kind::kAddress, "", caller.address}, nullptr);
}

void MeteredRequest::Add(Subject subject, std::shared_ptr<const Limits> limits) {
  Share& share = shares_[count_++];
  share.subject = std::move(subject);
  if (!limits) return;
  const bool may_have_quota = share.subject.kind != Subject::Kind::kAddress;
  share.has_quota = may_have_quota && std::any_of(std::begin(kQuotaLimits), std::end(kQuotaLimits),
                                                  [&](const QuotaLimit& limit) {
                                                    return ((*limits).*limit.cap).has_value();
                                                  });
  if (!share.has_quota && !limits->requests_per_minute && !limits->tokens_per_minute &&
      !limits->concurrent) {
    return;
  }
  is_limited = true;
  is_metered |= share.has_quota || limits->tokens_per_minute;
  counts_money |= share.has_quota && limits->has_money();
  share.limits = std::move(limits);
}

}  // namespace aibackend::access
