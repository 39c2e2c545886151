// The composition root of aibackend-gateway.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "gateway/settings.h"

namespace aibackend::gateway {

class Gateway {
 public:
  // Builds all and serves from then on. The servers need not be up yet: /ready says when they are.
  static absl::StatusOr<std::unique_ptr<Gateway>> Start(const Settings& settings);
  virtual ~Gateway() = default;  // aborts what still runs

  virtual int port() const = 0;
  // Takes nothing new, lets running requests end for the drain timeout, aborts the rest. Blocks.
  virtual void Drain() = 0;
};

}  // namespace aibackend::gateway
