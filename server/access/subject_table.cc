#include "server/access/subject_table.h"

#include <iterator>

#include "absl/hash/hash.h"

namespace aibackend::access {
namespace {

bool IsIdle(const SubjectState& state, int64_t now_ns) {
  return state.requests_tat <= now_ns && state.tokens.tat() <= now_ns;
}

}  // namespace

SubjectState& SubjectTable::Pin(const Subject& subject, int64_t now_ns) {
  const auto [found, is_new] = states_.try_emplace(subject);
  SubjectState& state = found->second;
  if (is_new) {
    state.name = &found->first;
    state.place = pinned_.insert(pinned_.end(), &state);
  } else if (state.pins == 0) {
    pinned_.splice(pinned_.end(), unpinned_, state.place);
  }
  ++state.pins;
  // Two, so that what many requests under way brought above the maximum comes down again.
  for (int i = 0; is_new && i < 2 && states_.size() > subjects_max_; ++i) EvictOne(now_ns);
  return state;
}

void SubjectTable::Unpin(SubjectState& state) {
  if (--state.pins > 0) return;
  unpinned_.splice(unpinned_.end(), pinned_, state.place);
}

SubjectState* SubjectTable::Find(const Subject& subject) {
  const auto found = states_.find(subject);
  return found == states_.end() ? nullptr : &found->second;
}

void SubjectTable::EvictOne(int64_t now_ns) {
  if (unpinned_.empty()) return;
  auto victim = unpinned_.begin();
  size_t scanned = 0;
  for (auto it = unpinned_.begin(); it != unpinned_.end() && scanned < kScanned; ++it, ++scanned) {
    if (!IsIdle(**it, now_ns)) continue;
    victim = it;
    break;
  }
  const SubjectState& state = **victim;
  if (state.book) {
    --books_[absl::HashOf(*state.name) % books_.size()];
    --books_open_;
  }
  unpinned_.erase(victim);
  states_.erase(states_.find(*state.name));
}

QuotaBook& SubjectTable::BookOf(SubjectState& state, absl::Time now) {
  if (!state.book) {
    state.book = std::make_unique<QuotaBook>(now);
    ++books_open_;
    ++books_[absl::HashOf(*state.name) % books_.size()];
  }
  return *state.book;
}

bool SubjectTable::MayHaveBook(const Subject& subject) const {
  if (books_open_.load() == 0) return false;
  return books_[absl::HashOf(subject) % books_.size()].load() != 0;
}

}  // namespace aibackend::access
