// The TOML file of --config, of which the programs share one: [server], [gateway],
// [models.*], [limits.*] and [guardrails.*].
#pragma once

#include <istream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/config/accounts.h"
#include "server/config/models.h"

namespace aibackend::config {

// A key of a section with its values as text; several for an array.
struct TomlItem {
  std::string name;
  std::vector<std::string> values;
};

struct TomlContent {
  std::vector<TomlItem> items;  // of the section asked for; '_' in a name reads as '-'
  std::vector<ModelSettings>
      models;  // in the file's order, but for one with default = true, which is first
  DefaultLimits limits;
  std::vector<GuardrailSettings> guardrails;
};

// Reads [section] and the models, whose absent keys are as in `defaults` (its first upstream gives
// those of upstreams). Fails with every mistake at once, a line each, naming key and line number:
// syntax, an unknown table or key, a wrong type, a value out of bounds, a fallback that isn't
// there, a name that is taken. A value is never in a message: it may be a secret.
//
// A model with neither a second upstream nor a fallback has no circuit breaker unless its table
// says so: nothing could serve instead. A model's key comes from the variable that api_key_env
// names, which must be set, or from api_key.
absl::StatusOr<TomlContent> ReadToml(std::istream& input, absl::string_view section,
                                     const ModelSettings& defaults);

// Names that are taken twice, and fallbacks that name no chat model: a line each. "extractive" is
// always there.
std::vector<std::string> NameProblems(const std::vector<ModelSettings>& models);

}  // namespace aibackend::config
