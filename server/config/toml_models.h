// The [models.*] tables of the TOML file. Private to this folder.
#pragma once

#include <vector>

#include "server/config/models.h"
#include "server/config/toml_table.h"

namespace aibackend::config {

// In the file's order, but for the one with default = true, which is first.
std::vector<ModelSettings> ReadModels(const toml::table& tables, const ModelSettings& defaults,
                                      Problems& problems);

}  // namespace aibackend::config
