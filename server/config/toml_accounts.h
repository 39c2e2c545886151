// The TOML file's tables of accounts. Private to this folder.
#pragma once

#include <vector>

#include "server/config/accounts.h"
#include "server/config/toml_table.h"

namespace aibackend::config {

// [limits.key], [limits.user], [limits.tenant], [limits.address].
DefaultLimits ReadLimits(const toml::table& tables, Problems& problems);

// [guardrails.<name>], in the file's order. What a rule's pattern means is not checked here.
std::vector<GuardrailSettings> ReadGuardrails(const toml::table& tables, Problems& problems);

// `price` of a model's table, if it has one.
absl::optional<PriceSettings> ReadPrice(Table& model, Problems& problems);

}  // namespace aibackend::config
