// Limits on the command line: the options that set them, and the table that shows them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "CLI/App.hpp"
#include "aibackend/v1/keys.pb.h"

namespace aibackend::cli {

// What --rpm, --tpm, --tokens-per-day, --tokens-per-month, --usd-per-day, --usd-per-month and
// --concurrent say. Each takes a number, or "none": not limited.
class LimitOptions {
 public:
  // Adds the options to `app`, which this must outlive.
  void AddTo(CLI::App& app);

  // Whether any of them was given.
  bool any() const { return !values_.empty(); }
  // Changes those limits that were given and leaves the others.
  void Apply(v1::Limits& limits) const;

 private:
  // Of a field of Limits, by its number.
  std::vector<std::pair<int, std::optional<int64_t>>> values_;
};

// "60 requests a minute, $1.50 a day"; "-" where there are none.
std::string FormatLimits(const v1::Limits& limits);

}  // namespace aibackend::cli
