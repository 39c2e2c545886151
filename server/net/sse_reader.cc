#include "server/net/sse_reader.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/base/status.h"

namespace aibackend::net {
namespace {

constexpr absl::string_view kBom("\xEF\xBB\xBF", 3);

}  // namespace

SseReader::SseReader(size_t event_bytes_max) : event_bytes_max_(event_bytes_max) {}

absl::Status SseReader::Feed(absl::string_view piece, OnEvent on_event) {
  if (failed_) return TooLarge();
  if (at_start_) piece = SkipBom(piece);
  while (!piece.empty()) {
    if (skip_lf_) {
      skip_lf_ = false;
      if (piece.front() == '\n') {
        piece.remove_prefix(1);
        continue;
      }
    }
    const size_t end = piece.find_first_of("\r\n");
    const size_t length = std::min(end, piece.size());
    if (line_.size() + length + data_.size() > event_bytes_max_) return TooLarge();
    if (end == absl::string_view::npos) {
      line_.append(piece.data(), piece.size());
      break;
    }
    skip_lf_ = piece[end] == '\r';
    absl::string_view line = piece.substr(0, end);
    piece.remove_prefix(end + 1);
    if (!line_.empty()) {
      line_.append(line.data(), line.size());
      line = line_;
    }
    const bool go_on = TakeLine(line, on_event);
    line_.clear();
    if (!go_on) break;
  }
  return absl::OkStatus();
}

absl::string_view SseReader::SkipBom(absl::string_view piece) {
  while (!piece.empty() && bom_matched_ < kBom.size() && piece.front() == kBom[bom_matched_]) {
    ++bom_matched_;
    piece.remove_prefix(1);
  }
  if (bom_matched_ == kBom.size()) {
    at_start_ = false;
  } else if (!piece.empty()) {
    line_.assign(kBom.data(), bom_matched_);  // it only began like one
    at_start_ = false;
  }
  return piece;
}

bool SseReader::TakeLine(absl::string_view line, OnEvent on_event) {
  if (line.empty()) return Dispatch(on_event);
  const size_t colon = line.find(':');
  if (colon == 0) return true;  // a comment
  absl::string_view value;
  if (colon != absl::string_view::npos) {
    value = line.substr(colon + 1);
    if (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  }
  TakeField(line.substr(0, colon), value);
  return true;
}

void SseReader::TakeField(absl::string_view name, absl::string_view value) {
  if (name == "data") {
    if (has_data_) data_.push_back('\n');
    data_.append(value.data(), value.size());
    has_data_ = true;
  } else if (name == "event") {
    type_.assign(value.data(), value.size());
  } else if (name == "id") {
    if (value.find('\0') == absl::string_view::npos) id_.assign(value.data(), value.size());
  } else if (name == "retry") {
    int64_t ms = 0;
    const bool digits = std::all_of(value.begin(), value.end(), absl::ascii_isdigit);
    if (digits && absl::SimpleAtoi(value, &ms)) retry_ = absl::Milliseconds(ms);
  }
}

bool SseReader::Dispatch(OnEvent on_event) {
  bool go_on = true;
  if (has_data_) {
    SseEvent event;
    event.type = type_.empty() ? absl::string_view("message") : absl::string_view(type_);
    event.data = data_;
    event.id = id_;
    go_on = on_event(event);
  }
  type_.clear();
  data_.clear();
  has_data_ = false;
  return go_on;
}

bool SseReader::InsideEvent() const {
  return !line_.empty() || has_data_ || !type_.empty();
}

absl::Status SseReader::TooLarge() {
  failed_ = true;
  return MakeError(
      Reason::UPSTREAM_BAD_RESPONSE,
      absl::StrCat("the event stream holds an event of more than ", event_bytes_max_, " bytes"));
}

}  // namespace aibackend::net
