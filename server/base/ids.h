// Identifiers: different things have different types, and each id says what it is.
#pragma once

#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "server/base/clock.h"

namespace aibackend {

template <class Tag>
struct Id {
  std::string value;

  Id() = default;
  explicit Id(std::string v) : value(std::move(v)) {}
  bool empty() const { return value.empty(); }
  friend bool operator==(const Id& a, const Id& b) { return a.value == b.value; }
  friend bool operator!=(const Id& a, const Id& b) { return a.value != b.value; }
  friend bool operator<(const Id& a, const Id& b) { return a.value < b.value; }
  template <class H>
  friend H AbslHashValue(H h, const Id& id) {
    return H::combine(std::move(h), id.value);
  }
};

using RequestId = Id<struct RequestTag>;
using JobId = Id<struct JobTag>;
using DocumentId = Id<struct DocumentTag>;

// Makes ids that sort by the time they were made: `prefix` + 26 characters, the form of a ULID
// (48 bits of milliseconds, 80 random bits, Crockford base 32; github.com/ulid/spec). Thread-safe.
class IdSource {
 public:
  virtual ~IdSource() = default;
  virtual std::string Next(absl::string_view prefix) = 0;
};

class UlidSource final : public IdSource {
 public:
  explicit UlidSource(Clock& clock) : clock_(clock) {}
  std::string Next(absl::string_view prefix) override;

 private:
  Clock& clock_;
};

}  // namespace aibackend
