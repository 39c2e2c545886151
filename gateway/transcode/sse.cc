#include "gateway/transcode/sse.h"

#include "absl/strings/str_cat.h"
#include "gateway/transcode/json_writer.h"

namespace aibackend::gateway {

HeaderList SseHeaders() {
  return {{"Content-Type", "text/event-stream; charset=utf-8"},
          {"Cache-Control", "no-cache"},
          {"X-Accel-Buffering", "no"}};  // nginx would otherwise hold tokens back
}

std::string SseData(uint64_t id, absl::string_view json) {
  return absl::StrCat("id: ", id, "\ndata: ", json, "\n\n");
}

std::string SseDelta(uint64_t id, absl::string_view delta) {
  std::string event;
  event.reserve(delta.size() + 48);
  absl::StrAppend(&event, "id: ", id, "\ndata: {\"delta\":");
  AppendJsonString(delta, event);
  event += "}\n\n";
  return event;
}

std::string SseNamed(absl::string_view event, absl::string_view json) {
  return absl::StrCat("event: ", event, "\ndata: ", json, "\n\n");
}

}  // namespace aibackend::gateway
