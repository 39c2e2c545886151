// The declarations of all settings. Private to this folder.
#pragma once

#include "CLI/CLI.hpp"
#include "server/config/settings.h"

namespace aibackend::config {

// A setting's flag is its name; its environment variable is given beside it. `settings` outlives
// `app`.
void Declare(CLI::App& app, Settings& settings);

}  // namespace aibackend::config
