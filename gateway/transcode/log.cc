#include "gateway/transcode/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace aibackend::gateway {
namespace {

// Marks a message that is JSON already: the members of a request's object.
constexpr spdlog::source_loc kMembers{"members", 1, "LogRequest"};

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

// Tells LogRequest what is wanted.
class JsonLogger final : public spdlog::logger {
 public:
  using spdlog::logger::logger;
};

std::string Milliseconds(absl::Duration duration) {
  return absl::StrFormat("%.1f", absl::ToDoubleMilliseconds(duration));
}

std::string AsText(const RequestLine& line) {
  return absl::StrCat("method=", line.method, " route=", line.route, " status=", line.status,
                      " ms=", Milliseconds(line.duration), " bytes=", line.bytes, " ending=\"",
                      line.ending, "\" request_id=\"", absl::CEscape(line.request_id), "\"",
                      line.trace_id.empty() ? "" : " trace_id=", line.trace_id);
}

std::string AsMembers(const RequestLine& line) {
  std::string members =
      absl::StrCat(R"("event":"request","method":)", Quoted(line.method), R"(,"route":)",
                   Quoted(line.route), R"(,"status":)", line.status, R"(,"ms":)",
                   Milliseconds(line.duration), R"(,"bytes":)", line.bytes, R"(,"ending":)",
                   Quoted(line.ending), R"(,"request_id":)", Quoted(line.request_id));
  if (!line.trace_id.empty()) absl::StrAppend(&members, R"(,"trace_id":)", Quoted(line.trace_id));
  return members;
}

}  // namespace

void StartLog(const std::string& level, bool as_json) {
  auto sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
  std::shared_ptr<spdlog::logger> logger;
  if (as_json) {
    logger = std::make_shared<JsonLogger>("gateway", std::move(sink));
    logger->set_formatter(std::make_unique<JsonFormatter>());
  } else {
    logger = std::make_shared<spdlog::logger>("gateway", std::move(sink));
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%fZ %^%l%$ %v", spdlog::pattern_time_type::utc);
  }
  logger->set_level(spdlog::level::from_str(level));
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

void LogRequest(const RequestLine& line) {
  auto* const logger = spdlog::default_logger_raw();
  const auto level = line.status >= 500 ? spdlog::level::warn : spdlog::level::info;
  if (!logger->should_log(level)) return;
  if (dynamic_cast<JsonLogger*>(logger) != nullptr) {
    logger->log(kMembers, level, spdlog::string_view_t(AsMembers(line)));
  } else {
    logger->log(level, spdlog::string_view_t(AsText(line)));
  }
}

}  // namespace aibackend::gateway
