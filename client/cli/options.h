// Options that several commands have, and what their values mean.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "CLI/App.hpp"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cli/format.h"
#include "google/protobuf/timestamp.pb.h"

namespace aibackend::cli {

// US dollars as nano-USD, exactly: "0.15" is 150000000. Digits, and at most nine decimals that are
// not zeros at the end; no sign, no exponent.
absl::StatusOr<int64_t> ParseNanoUsd(std::string_view text);

// "30d", "12h", "1d12h": of s, m, h, d and w, whole numbers. "0" is none. At most 100 years.
absl::StatusOr<absl::Duration> ParseSpan(std::string_view text);

// A day (2026-01-31: its start, UTC) or a time of RFC 3339 (2026-01-31T09:30:00+01:00), from 1970
// to 9999.
absl::StatusOr<absl::Time> ParseMoment(std::string_view text);

google::protobuf::Timestamp ToTimestamp(absl::Time time);

// Each fills its target, which must outlive `app`. What can't be read ends the parse with a
// sentence and kExitUsage.
CLI::Option* AddUsd(CLI::App& app, const std::string& name, std::optional<int64_t>& nano_usd,
                    const std::string& help);
CLI::Option* AddSpan(CLI::App& app, const std::string& name, std::optional<absl::Duration>& span,
                     const std::string& help);
CLI::Option* AddMoment(CLI::App& app, const std::string& name, std::optional<absl::Time>& moment,
                       const std::string& help);
void AddJson(CLI::App& app, bool& json);
void AddLimit(CLI::App& app, std::optional<int>& limit);

}  // namespace aibackend::cli
