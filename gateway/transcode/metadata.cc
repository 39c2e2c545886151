#include "gateway/transcode/metadata.h"

#include <algorithm>

#include "absl/random/random.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace aibackend::gateway {
namespace {

constexpr absl::string_view kLastEventId = "last-event-id";
constexpr const char* kForwarded[] = {"authorization", "x-api-key", "idempotency-key",
                                      kLastEventId.data()};

// A chain of more proxies, or longer ones, is none that anybody set up: what its end is longer by
// was made up.
constexpr size_t kForwardedForBytesMax = 512;
constexpr const char* kAnswered[] = {"ratelimit-limit", "ratelimit-remaining", "ratelimit-reset",
                                     "ratelimit-policy", "x-cache"};

bool IsPrintable(char c) {
  return c >= 0x20 && c <= 0x7e;
}

bool IsPrintable(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return IsPrintable(c); });
}

// The whole hops at the end of `chain` that gRPC can carry and that are not too many. The last are
// those that a proxy which is trusted has added; dropped with the rest, whoever sends a long or a
// garbled header of his own would be counted as that proxy.
absl::string_view EndOfChain(absl::string_view chain) {
  size_t from = chain.size() > kForwardedForBytesMax ? chain.size() - kForwardedForBytesMax : 0;
  for (size_t i = chain.size(); i > from; --i) {
    if (!IsPrintable(chain[i - 1])) from = i;
  }
  if (from == 0) return chain;
  const size_t comma = chain.find(',', from - 1);
  if (comma == absl::string_view::npos) return {};
  return absl::StripLeadingAsciiWhitespace(chain.substr(comma + 1));
}

// The server believes it only of a gateway that it trusts, and reads it from its end.
void AddForwardedFor(const httplib::Request& request, grpc::ClientContext& context) {
  std::string chain;
  const size_t count = request.get_header_value_count("x-forwarded-for");
  for (size_t i = 0; i < count; ++i) {
    absl::StrAppend(&chain, request.get_header_value("x-forwarded-for", i), ", ");
  }
  context.AddMetadata("x-forwarded-for", absl::StrCat(EndOfChain(chain), request.remote_addr));
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
  // The server's rule: another one there would be two ids of one request.
  const bool is_usable = !id.empty() && id.size() <= kRequestIdBytesMax && IsPrintable(id) &&
                         !absl::StrContains(id, ' ');
  if (is_usable) return id;
  return NewRequestId();
}

std::optional<ApiError> ForwardHeaders(const httplib::Request& request,
                                       const std::string& request_id,
                                       const std::string& traceparent, bool is_resumable,
                                       bool needs_key, grpc::ClientContext& context) {
  context.AddMetadata("x-request-id", request_id);
  if (!traceparent.empty()) context.AddMetadata("traceparent", traceparent);
  if (needs_key) context.AddMetadata("x-aibackend-auth", "required");
  AddForwardedFor(request, context);
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

HeaderList AnswerHeaders(const ServerMetadata& metadata) {
  HeaderList headers;
  for (const char* name : kAnswered) {
    const auto found = metadata.find(name);
    if (found == metadata.end()) continue;
    headers.emplace_back(name, std::string(found->second.data(), found->second.size()));
  }
  return headers;
}

}  // namespace aibackend::gateway
