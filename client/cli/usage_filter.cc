#include "client/cli/usage_filter.h"

#include "CLI/CLI.hpp"

namespace aibackend::cli {

void AddUsageFilter(CLI::App& app, UsageFilter& filter) {
  AddMoment(app, "--from", filter.from, "Not before this: a day (UTC) or an RFC 3339 time");
  AddMoment(app, "--to", filter.to, "Before this: a day is its start");
  app.add_option("--tenant", filter.tenant, "Only this one's");
  app.add_option("--user", filter.user, "Only this one's");
  app.add_option("--key", filter.key, "Only this key's, by its id");
  app.add_option("--model", filter.model, "Only those that this one answered");
  app.add_option("--endpoint", filter.endpoint, "Only those of this method, such as ChatStream");
}

void AddStatusFilter(CLI::App& app, UsageFilter& filter) {
  app.add_option("--status", filter.status, "OK, ERROR, CANCELLED or RUNNING")
      ->transform(CLI::IsMember({"OK", "ERROR", "CANCELLED", "RUNNING"}, CLI::ignore_case));
}

}  // namespace aibackend::cli
