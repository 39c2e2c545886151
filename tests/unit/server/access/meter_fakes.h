// What a meter reads, as tests set it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/access/meter.h"
#include "server/base/status.h"

namespace aibackend::access {

inline Subject KeySubject(std::string id) {
  return {Subject::Kind::kKey, "", std::move(id)};
}
inline Subject UserSubject(std::string tenant, std::string id) {
  return {Subject::Kind::kUser, std::move(tenant), std::move(id)};
}
inline Subject TenantSubject(std::string id) {
  return {Subject::Kind::kTenant, std::move(id), ""};
}
inline Subject AddressSubject(std::string id) {
  return {Subject::Kind::kAddress, "", std::move(id)};
}

// An order for maps.
inline auto OrderOf(const Subject& subject) {
  return std::make_tuple(subject.kind, subject.tenant, subject.id);
}
struct SubjectOrder {
  bool operator()(const Subject& a, const Subject& b) const { return OrderOf(a) < OrderOf(b); }
};

// Set before threads read it.
class FakeLimits final : public LimitSource {
 public:
  std::shared_ptr<const Limits> LimitsOf(const Subject& subject) const override {
    const auto found = limits_.find(subject);
    return found == limits_.end() ? nullptr : found->second;
  }
  void Set(const Subject& subject, const Limits& limits) {
    limits_[subject] = std::make_shared<Limits>(limits);
  }
  void Remove(const Subject& subject) { limits_.erase(subject); }

 private:
  std::map<Subject, std::shared_ptr<const Limits>, SubjectOrder> limits_;
};

// Thread-safe. Without an answer of the test nobody has spent anything.
class FakeSpent final : public SpentSource {
 public:
  using Answer = std::function<absl::StatusOr<Spent>(const Subject&, absl::Time, absl::Time)>;

  absl::StatusOr<Spent> SpentBy(const Subject& subject, absl::Time day, absl::Time month) override {
    Answer answer;
    {
      const absl::MutexLock lock(&mutex_);
      ++asked_;
      answer = answer_;
    }
    return answer ? answer(subject, day, month) : Spent{};
  }
  void Set(Answer answer) {
    const absl::MutexLock lock(&mutex_);
    answer_ = std::move(answer);
  }
  int asked() const {
    const absl::MutexLock lock(&mutex_);
    return asked_;
  }

 private:
  mutable absl::Mutex mutex_;
  Answer answer_ ABSL_GUARDED_BY(mutex_);
  int asked_ ABSL_GUARDED_BY(mutex_) = 0;
};

inline Principal PrincipalOf(std::string tenant, std::string key = "") {
  Principal principal;
  principal.tenant = std::move(tenant);
  principal.key_id = std::move(key);
  return principal;
}

}  // namespace aibackend::access
