#include "proto/otlp/trace_context.h"

#include <cstring>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"

namespace aibackend::otlp {
namespace {

// version "-" trace-id "-" parent-id "-" trace-flags
constexpr size_t kTraceIdAt = 3;
constexpr size_t kSpanIdAt = 36;
constexpr size_t kFlagsAt = 53;
constexpr size_t kBytes = 55;

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;  // capitals too: the specification allows none
}

template <size_t size>
bool ReadHex(absl::string_view text, std::array<uint8_t, size>& bytes) {
  for (size_t i = 0; i < size; ++i) {
    const int high = HexDigit(text[2 * i]);
    const int low = HexDigit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    bytes[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return true;
}

template <size_t size>
void AppendHex(const std::array<uint8_t, size>& bytes, std::string& text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  for (const uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
}

template <size_t size>
std::array<uint8_t, size> RandomId() {
  thread_local absl::BitGen random;  // seeded by the system
  std::array<uint8_t, size> id{};
  while (id == std::array<uint8_t, size>{}) {
    for (size_t at = 0; at < size; at += sizeof(uint64_t)) {
      const auto bits = absl::Uniform<uint64_t>(random);
      std::memcpy(&id[at], &bits, sizeof(bits));
    }
  }
  return id;
}

}  // namespace

std::string TraceContext::TraceIdHex() const {
  std::string text;
  if (is_valid()) AppendHex(trace_id, text);
  return text;
}

absl::optional<TraceContext> ParseTraceparent(absl::string_view text) {
  if (text.size() < kBytes) return absl::nullopt;
  std::array<uint8_t, 1> version{};
  if (!ReadHex(text, version) || version[0] == 0xff) return absl::nullopt;
  if (version[0] == 0 && text.size() != kBytes) return absl::nullopt;
  if (text.size() > kBytes && text[kBytes] != '-') return absl::nullopt;
  for (const size_t dash : {kTraceIdAt - 1, kSpanIdAt - 1, kFlagsAt - 1}) {
    if (text[dash] != '-') return absl::nullopt;
  }
  TraceContext context;
  std::array<uint8_t, 1> flags{};
  if (!ReadHex(text.substr(kTraceIdAt), context.trace_id) ||
      !ReadHex(text.substr(kSpanIdAt), context.span_id) || !ReadHex(text.substr(kFlagsAt), flags))
    return absl::nullopt;
  if (context.trace_id == TraceId{} || context.span_id == SpanId{}) return absl::nullopt;
  // Another version's second bit may mean something else.
  context.flags = flags[0] & (version[0] == 0 ? kSampledFlag | kRandomFlag : kSampledFlag);
  return context;
}

std::string FormatTraceparent(const TraceContext& context) {
  if (!context.is_valid()) return {};
  std::string text = "00-";
  text.reserve(kBytes);
  AppendHex(context.trace_id, text);
  text += '-';
  AppendHex(context.span_id, text);
  text += '-';
  AppendHex(std::array<uint8_t, 1>{context.flags}, text);
  return text;
}

TraceContext NewTrace() {
  TraceContext context;
  context.trace_id = RandomId<sizeof(TraceId)>();
  context.span_id = RandomId<sizeof(SpanId)>();
  context.flags = kRandomFlag;
  return context;
}

TraceContext ChildOf(const TraceContext& parent) {
  TraceContext context = parent;
  context.span_id = RandomId<sizeof(SpanId)>();
  return context;
}

bool IsInShare(const TraceId& id, double ratio) {
  // The specification's randomness: the last seven bytes, as a number in [0, 1).
  uint64_t random = 0;
  for (size_t i = id.size() - 7; i < id.size(); ++i) random = random << 8 | id[i];
  return static_cast<double>(random) < ratio * static_cast<double>(uint64_t{1} << 56);
}

}  // namespace aibackend::otlp
