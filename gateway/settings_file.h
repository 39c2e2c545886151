// The [gateway] section of the TOML file that the programs share.
#pragma once

#include <istream>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"

namespace aibackend::gateway {

// Reads it for `app`, which outlives it. In a key '_' reads as '-'. The other sections are the
// server's to look at; but the whole file must be TOML. What the environment says is left out:
// CLI11 would let the file win.
//
// from_config throws CLI::ConfigError with every mistake at once, a line each, naming key and line
// number: syntax, a key that is no setting's or is given twice, a value of no fit type.
class SettingsFile final : public CLI::ConfigBase {
 public:
  explicit SettingsFile(const CLI::App& app) : app_(app) {}

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override;

 private:
  const CLI::App& app_;
};

}  // namespace aibackend::gateway
