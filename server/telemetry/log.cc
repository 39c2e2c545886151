#include "server/telemetry/log.h"

#include "absl/strings/escaping.h"
#include "spdlog/sinks/stdout_color_sinks.h"
#include "spdlog/spdlog.h"

namespace aibackend::telemetry {
namespace {

struct EventRow {
  const char* name;
  spdlog::level::level_enum level;
};

EventRow RowOf(Event event) {
  switch (event) {
    case Event::kServerStarted:
      return {"server_started", spdlog::level::info};
    case Event::kServerDraining:
      return {"server_draining", spdlog::level::info};
    case Event::kServerStopped:
      return {"server_stopped", spdlog::level::info};
    case Event::kRequestStarted:
      return {"request_started", spdlog::level::info};
    case Event::kRequestFinished:
      return {"request_finished", spdlog::level::info};
    case Event::kRequestFailed:
      return {"request_failed", spdlog::level::err};
    case Event::kLedgerRecovered:
      return {"ledger_recovered", spdlog::level::warn};
    case Event::kCorpusSeeded:
      return {"corpus_seeded", spdlog::level::info};
    case Event::kIndexOutgrown:
      return {"index_outgrown", spdlog::level::info};
    case Event::kIndexLoaded:
      return {"index_loaded", spdlog::level::info};
    case Event::kSnapshotSaved:
      return {"snapshot_saved", spdlog::level::info};
    case Event::kSnapshotIgnored:
      return {"snapshot_ignored", spdlog::level::warn};
    case Event::kSnapshotFailed:
      return {"snapshot_failed", spdlog::level::warn};
    case Event::kModelRegistered:
      return {"model_registered", spdlog::level::info};
    case Event::kCitationDropped:
      return {"citation_dropped", spdlog::level::warn};
    case Event::kCircuitOpened:
      return {"circuit_opened", spdlog::level::warn};
    case Event::kCircuitClosed:
      return {"circuit_closed", spdlog::level::info};
    case Event::kRetrievalDegraded:
      return {"retrieval_degraded", spdlog::level::warn};
    case Event::kChunksUnembedded:
      return {"chunks_unembedded", spdlog::level::warn};
  }
  return {"unknown", spdlog::level::err};
}

bool NeedsQuotes(absl::string_view value) {
  if (value.empty()) return true;
  for (const char c : value) {
    if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f) return true;
  }
  return false;
}

}  // namespace

absl::Status StartLog(const std::string& level) {
  const auto parsed = spdlog::level::from_str(level);
  if (parsed == spdlog::level::off && level != "off") {
    return absl::InvalidArgumentError(
        absl::StrCat("log level '", level, "' is none of trace, debug, info, warn, error, off"));
  }
  auto logger = spdlog::stderr_color_mt("aibackend");
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%fZ %^%l%$ %v", spdlog::pattern_time_type::utc);
  logger->set_level(parsed);
  spdlog::set_default_logger(std::move(logger));
  return absl::OkStatus();
}

void Log(Event event, std::initializer_list<Field> fields) {
  const EventRow row = RowOf(event);
  auto* logger = spdlog::default_logger_raw();
  if (!logger->should_log(row.level)) return;
  std::string line = absl::StrCat("event=", row.name);
  for (const Field& field : fields) {
    if (NeedsQuotes(field.value)) {
      absl::StrAppend(&line, " ", field.key, "=\"", absl::Utf8SafeCEscape(field.value), "\"");
    } else {
      absl::StrAppend(&line, " ", field.key, "=", field.value);
    }
  }
  logger->log(row.level, line);
}

}  // namespace aibackend::telemetry
