// The composition root: the only place that names concrete adapters.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "server/base/clock.h"
#include "server/config/settings.h"

namespace aibackend {

// The whole server. Built in order, torn down in reverse.
class App {
 public:
  // Opens the database, loads the index, starts the worker and listens. Blocks until it serves.
  static absl::StatusOr<std::unique_ptr<App>> Build(const config::Settings& settings, Clock& clock);
  virtual ~App() = default;

  // Says NOT_SERVING, refuses new calls, lets running ones end until the drain timeout, hands
  // running jobs back. Blocks. (The ledger is committed when the App goes.)
  virtual void Drain() = 0;
};

}  // namespace aibackend
