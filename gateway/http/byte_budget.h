// How much memory the bodies of all requests together may take: a body is bounded, and so are the
// connections, but the product of both is more than a machine has.
#pragma once

#include <atomic>
#include <cstddef>
#include <utility>

namespace aibackend::gateway::http {

// Thread-safe.
class ByteBudget {
 public:
  explicit ByteBudget(size_t bytes_max) : bytes_max_(bytes_max) {}

  // What one body takes, until it is destroyed. Not thread-safe; the budget outlives it.
  class Share {
   public:
    // So much is free, so that those who fill the budget with large bodies don't shut out the rest.
    static constexpr size_t kFreeBytes = 64 * 1024;

    explicit Share(ByteBudget& budget) : budget_(&budget) {}
    Share(Share&& other) noexcept
        : budget_(other.budget_), taken_(std::exchange(other.taken_, 0)) {}
    Share& operator=(Share&& other) noexcept {
      std::swap(budget_, other.budget_);
      std::swap(taken_, other.taken_);
      return *this;
    }
    ~Share() { budget_->taken_.fetch_sub(taken_, std::memory_order_relaxed); }

    // For a body of so many bytes in all. False, and nothing changed: there is no room.
    bool GrowTo(size_t bytes) {
      if (bytes <= kFreeBytes + taken_) return true;
      const size_t more = bytes - kFreeBytes - taken_;
      std::atomic<size_t>& taken = budget_->taken_;
      if (taken.fetch_add(more, std::memory_order_relaxed) + more > budget_->bytes_max_) {
        taken.fetch_sub(more, std::memory_order_relaxed);
        return false;
      }
      taken_ += more;
      return true;
    }

   private:
    ByteBudget* budget_;
    size_t taken_ = 0;
  };

 private:
  const size_t bytes_max_;
  std::atomic<size_t> taken_ = 0;
};

}  // namespace aibackend::gateway::http
