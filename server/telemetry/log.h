// The server's log: one line an event, from a closed list of events, as key=value text on stderr.
//
// error = an operator must act; warn = degraded but answered; info = lifecycle and two lines a
// call; debug = the rest. Prompts, answers, keys and tokens never stand here: their sizes do.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

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
};

// One key=value of a line. Values with spaces, quotes or control characters are quoted and escaped,
// so that nothing a client sends can forge a line.
struct Field {
  absl::string_view key;
  std::string value;
  Field(absl::string_view k, absl::string_view v) : key(k), value(v.data(), v.size()) {}
  Field(absl::string_view k, const std::string& v) : key(k), value(v) {}
  Field(absl::string_view k, const char* v) : key(k), value(v) {}
  template <class Number, class = std::enable_if_t<std::is_arithmetic_v<Number>>>
  Field(absl::string_view k, Number v) : key(k), value(absl::StrCat(v)) {}
};

// Sends the log to stderr at `level` (trace, debug, info, warn, error, off). Call once, before the
// first event.
absl::Status StartLog(const std::string& level);

// Writes the event at its level. Thread-safe.
void Log(Event event, std::initializer_list<Field> fields);

}  // namespace aibackend::telemetry
