// The server's log: one line an event, from a closed list of events, on stderr: as key=value text,
// or as one JSON object.
//
// error = an operator must act; warn = degraded but answered; info = lifecycle and two lines a
// call; debug = the rest. Prompts, answers, keys and tokens never stand here: their sizes do.
#pragma once

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace spdlog {
class logger;
namespace sinks {
class sink;
}
}  // namespace spdlog

namespace aibackend::telemetry {

enum class Event {
  kServerStarted,
  kServerDraining,
  kServerStopped,
  kRequestStarted,
  kRequestFinished,
  kRequestFailed,
  kLedgerRecovered,
  kCorpusSeeded,
  kIndexOutgrown,
  kIndexLoaded,
  kSnapshotSaved,
  kSnapshotIgnored,
  kSnapshotFailed,
  kModelRegistered,
  kCitationDropped,
  kCircuitOpened,
  kCircuitClosed,
  kRetrievalDegraded,
  kChunksUnembedded,
  kPurgeFailed,
};

// One key=value of a line. In text, values with spaces, quotes or control characters are quoted and
// escaped, in JSON all that isn't a number or a truth value is a string: nothing a client sends can
// forge a line. Keys are literals.
struct Field {
  absl::string_view key;
  std::string value;
  bool is_bare = false;      // a number or a truth value, as JSON has it
  bool is_left_out = false;  // it has no value, and is no part of the line
  Field(absl::string_view k, absl::string_view v) : key(k), value(v.data(), v.size()) {}
  Field(absl::string_view k, const std::string& v) : key(k), value(v) {}
  Field(absl::string_view k, const char* v) : key(k), value(v) {}
  template <class Number, class = std::enable_if_t<std::is_arithmetic_v<Number>>>
  Field(absl::string_view k, Number v)
      : key(k), value(absl::StrCat(v)), is_bare(std::isfinite(static_cast<double>(v))) {
    if (std::is_same_v<Number, bool>) value = v ? "true" : "false";
  }
  // Of what not every line has, such as a trace: left out where `v` is empty.
  static Field IfAny(absl::string_view k, const std::string& v) {
    Field field(k, v);
    field.is_left_out = v.empty();
    return field;
  }
};

enum class LogFormat {
  kText,
  kJson,  // {"ts","level","event", fields…}; of a free line {"ts","level","msg"}
};

// Sends the log to stderr at `level` (trace, debug, info, warn, error, off) in `format` (text,
// json). Call once, before the first event.
absl::Status StartLog(const std::string& level, const std::string& format = "text");

// The same, without a place to go: for StartLog and tests.
absl::StatusOr<std::shared_ptr<spdlog::logger>> MakeLogger(const std::string& level,
                                                           LogFormat format,
                                                           std::shared_ptr<spdlog::sinks::sink> to);

// Writes the event at its level. By convention a request's id is the field request_id, its trace's
// trace_id. Thread-safe.
void Log(Event event, std::initializer_list<Field> fields);

}  // namespace aibackend::telemetry
