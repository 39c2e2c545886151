// Which rows of the ledger a command is about.
#pragma once

#include <optional>
#include <string>

#include "CLI/App.hpp"
#include "absl/time/time.h"
#include "client/cli/options.h"

namespace aibackend::cli {

struct UsageFilter {
  std::optional<absl::Time> from;
  std::optional<absl::Time> to;
  std::string tenant;
  std::string user;
  std::string key;
  std::string model;
  std::string endpoint;
  std::string status;
};

// Adds --from, --to, --tenant, --user, --key, --model and --endpoint, which fill `filter`.
void AddUsageFilter(CLI::App& app, UsageFilter& filter);
// Adds --status.
void AddStatusFilter(CLI::App& app, UsageFilter& filter);

// The filter, but for its status, as the fields of a request that has them.
template <class Request>
void SetFilter(const UsageFilter& filter, Request& request) {
  if (filter.from) *request.mutable_from() = ToTimestamp(*filter.from);
  if (filter.to) *request.mutable_to() = ToTimestamp(*filter.to);
  request.set_tenant_id(filter.tenant);
  request.set_user_id(filter.user);
  request.set_key_id(filter.key);
  request.set_model(filter.model);
  request.set_endpoint(filter.endpoint);
}

}  // namespace aibackend::cli
