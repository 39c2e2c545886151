#include "gateway/transcode/metadata.h"

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace aibackend::gateway {
namespace {

constexpr absl::string_view kLastEventId = "last-event-id";
constexpr const char* kForwarded[] = {"authorization", "x-api-key", "traceparent",
                                      "idempotency-key", kLastEventId.data()};

bool IsPrintable(absl::string_view text) {
  for (const char c : text) {
    if (c < 0x20 || c > 0x7e) return false;
  }
  return true;
}

}  // namespace

std::string NewRequestId() {
  static constexpr char kCrockford[] = "0123456789abcdefghjkmnpqrstvwxyz";
  static constexpr int kTimeDigits = 10;
  static constexpr int kRandomDigits = 16;
  thread_local absl::BitGen random;  // seeded by the system; ids are not secrets

  std::string id = "req_";
  const auto ms = static_cast<uint64_t>(absl::ToUnixMillis(absl::Now()));
  for (int i = kTimeDigits - 1; i >= 0; --i) id += kCrockford[(ms >> (5 * i)) & 31];
  for (int i = 0; i < kRandomDigits; ++i) id += kCrockford[absl::Uniform(random, 0, 32)];
  return id;
}

std::string RequestIdOf(const httplib::Request& request) {
  std::string id = request.get_header_value("x-request-id");
  if (!id.empty() && id.size() <= kRequestIdBytesMax && IsPrintable(id)) return id;
  return NewRequestId();
}

std::optional<ApiError> ForwardHeaders(const httplib::Request& request,
                                       const std::string& request_id, bool is_resumable,
                                       grpc::ClientContext& context) {
  context.AddMetadata("x-request-id", request_id);
  size_t bytes = 0;
  for (const char* name : kForwarded) {
    const size_t count = request.get_header_value_count(name);
    if (count == 0 || (name == kLastEventId && !is_resumable)) continue;
    const std::string value = request.get_header_value(name);
    if (count > 1 || !IsPrintable(value))
      return MakeApiError(
          Reason::MALFORMED_REQUEST,
          absl::StrCat("the header ", name,
                       count > 1 ? " is given twice" : " has bytes that are not printable ASCII"));
    bytes += value.size();
    if (bytes > kForwardedBytesMax)
      return MakeApiError(Reason::HEADERS_TOO_LARGE,
                          absl::StrCat("the headers that go on to the server (authorization, "
                                       "x-api-key, idempotency-key, …) together are longer than ",
                                       kForwardedBytesMax, " bytes"));
    context.AddMetadata(name, value);
  }
  return std::nullopt;
}

}  // namespace aibackend::gateway
