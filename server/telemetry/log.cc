#include "server/telemetry/log.h"

#include <memory>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/time/time.h"
#include "nlohmann/json.hpp"
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
    case Event::kPurgeFailed:
      return {"purge_failed", spdlog::level::warn};
  }
  return {"unknown", spdlog::level::err};
}

// Marks a message that is JSON already: the members of an event's object.
constexpr spdlog::source_loc kMembers{"members", 1, "Log"};

// As a JSON string; bytes that are no UTF-8 are replaced.
std::string Quoted(absl::string_view text) {
  return nlohmann::json(std::string(text))
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

class JsonFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& msg, spdlog::memory_buf_t& out) override {
    const absl::string_view text(msg.payload.data(), msg.payload.size());
    const auto level = spdlog::level::to_string_view(msg.level);
    const std::string line = absl::StrCat(
        R"({"ts":")",
        absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", absl::FromChrono(msg.time), absl::UTCTimeZone()),
        R"(","level":")", absl::string_view(level.data(), level.size()), "\",",
        msg.source.filename == kMembers.filename ? std::string(text)
                                                 : absl::StrCat(R"("msg":)", Quoted(text)),
        "}\n");
    out.append(line.data(), line.data() + line.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonFormatter>();
  }
};

// Tells Log what is wanted.
class JsonLogger final : public spdlog::logger {
 public:
  using spdlog::logger::logger;
};

bool NeedsQuotes(absl::string_view value) {
  if (value.empty()) return true;
  for (const char c : value) {
    if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f) return true;
  }
  return false;
}

std::string AsText(const char* event, std::initializer_list<Field> fields) {
  std::string line = absl::StrCat("event=", event);
  for (const Field& field : fields) {
    if (field.is_left_out) continue;
    if (NeedsQuotes(field.value)) {
      absl::StrAppend(&line, " ", field.key, "=\"", absl::Utf8SafeCEscape(field.value), "\"");
    } else {
      absl::StrAppend(&line, " ", field.key, "=", field.value);
    }
  }
  return line;
}

std::string AsMembers(const char* event, std::initializer_list<Field> fields) {
  std::string members = absl::StrCat(R"("event":)", Quoted(event));
  for (const Field& field : fields) {
    if (field.is_left_out) continue;
    absl::StrAppend(&members, ",", Quoted(field.key), ":",
                    field.is_bare ? field.value : Quoted(field.value));
  }
  return members;
}

}  // namespace

absl::StatusOr<std::shared_ptr<spdlog::logger>> MakeLogger(
    const std::string& level, LogFormat format, std::shared_ptr<spdlog::sinks::sink> to) {
  const auto parsed = spdlog::level::from_str(level);
  if (parsed == spdlog::level::off && level != "off") {
    return absl::InvalidArgumentError(
        absl::StrCat("log level '", level, "' is none of trace, debug, info, warn, error, off"));
  }
  std::shared_ptr<spdlog::logger> logger;
  if (format == LogFormat::kJson) {
    logger = std::make_shared<JsonLogger>("aibackend", std::move(to));
    logger->set_formatter(std::make_unique<JsonFormatter>());
  } else {
    logger = std::make_shared<spdlog::logger>("aibackend", std::move(to));
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%fZ %^%l%$ %v", spdlog::pattern_time_type::utc);
  }
  logger->set_level(parsed);
  return logger;
}

absl::Status StartLog(const std::string& level, const std::string& format) {
  if (format != "text" && format != "json") {
    return absl::InvalidArgumentError(
        absl::StrCat("log format '", format, "' is neither text nor json"));
  }
  auto logger = MakeLogger(level, format == "json" ? LogFormat::kJson : LogFormat::kText,
                           std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  if (!logger.ok()) return logger.status();
  spdlog::set_default_logger(*std::move(logger));
  return absl::OkStatus();
}

void Log(Event event, std::initializer_list<Field> fields) {
  const EventRow row = RowOf(event);
  auto* logger = spdlog::default_logger_raw();
  if (!logger->should_log(row.level)) return;
  if (dynamic_cast<JsonLogger*>(logger) != nullptr) {
    logger->log(kMembers, row.level, spdlog::string_view_t(AsMembers(row.name, fields)));
  } else {
    logger->log(row.level, spdlog::string_view_t(AsText(row.name, fields)));
  }
}

}  // namespace aibackend::telemetry
