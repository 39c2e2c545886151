#include "server/models/upstream_errors.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "server/base/status.h"
#include "server/base/text.h"

namespace aibackend::models {
namespace {

constexpr size_t kMessageBytesMax = 300;  // enough for "maximum context length is … tokens, …"
constexpr size_t kKindBytesMax = 64;
// A longer wait isn't one a caller can plan with, and may be a mistake of the upstream's clock.
constexpr absl::Duration kRetryAfterMax = absl::Hours(1);

Reason::Reason ReasonOfHttpStatus(int status) {
  switch (status) {
    case 400:
    case 404:
    case 413:
    case 422:
      return Reason::UPSTREAM_REJECTED_REQUEST;
    case 401:
    case 402:  // the account can't pay: for the operator, as a refused key is
    case 403:
      return Reason::UPSTREAM_REFUSED_CREDENTIALS;
    case 429:
      return Reason::UPSTREAM_RATE_LIMITED;
    default:
      return status >= 500 ? Reason::UPSTREAM_UNAVAILABLE : Reason::UPSTREAM_BAD_RESPONSE;
  }
}

// By the words in use among OpenAI, Azure, vLLM, OpenRouter and LiteLLM.
Reason::Reason ReasonOfKind(absl::string_view kind) {
  const auto has = [&](absl::string_view word) { return absl::StrContains(kind, word); };
  if (has("rate_limit") || has("quota")) return Reason::UPSTREAM_RATE_LIMITED;
  if (has("authentication") || has("api_key") || has("permission")) {
    return Reason::UPSTREAM_REFUSED_CREDENTIALS;
  }
  if (has("invalid_request") || has("context_length")) return Reason::UPSTREAM_REJECTED_REQUEST;
  if (has("server_error") || has("overloaded") || has("unavailable")) {
    return Reason::UPSTREAM_UNAVAILABLE;
  }
  return Reason::UPSTREAM_BAD_RESPONSE;
}

absl::Status Describe(const Upstream& upstream, Reason::Reason reason, absl::string_view what,
                      const UpstreamError& error) {
  std::string message = absl::StrCat(upstream.origin, " ");
  switch (reason) {
    case Reason::UPSTREAM_REJECTED_REQUEST:
      absl::StrAppend(&message, "rejected the request (", what, ")");
      // Only this one is about the caller's own request; others may talk of the operator's account.
      if (!error.message.empty()) {
        absl::StrAppend(&message, ": ", Sanitised(upstream, error.message, kMessageBytesMax));
      }
      break;
    case Reason::UPSTREAM_REFUSED_CREDENTIALS:
      absl::StrAppend(&message, "refused this server's API key (", what, ")");
      break;
    case Reason::UPSTREAM_RATE_LIMITED:
      absl::StrAppend(&message, "limits this server's rate (", what, ")");
      break;
    case Reason::UPSTREAM_UNAVAILABLE:
      absl::StrAppend(&message, "failed (", what, ")");
      break;
    default:
      absl::StrAppend(&message, "gave an answer of no use (", what, ")");
  }
  return MakeError(reason, message);
}

absl::string_view Header(const HttpHeaders& headers, absl::string_view name) {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

bool ParseHttpDate(absl::string_view text, absl::Time* time) {
  std::string error;
  return absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", text, time, &error);
}

// Zero: none was named, or none that makes sense.
absl::Duration RetryAfter(const HttpHeaders& headers) {
  const absl::string_view value = Header(headers, "retry-after");
  absl::Duration after = absl::ZeroDuration();
  double seconds = 0;
  absl::Time then;
  absl::Time now;
  if (absl::SimpleAtod(value, &seconds)) {
    after = seconds > 0 ? absl::Seconds(seconds) : absl::ZeroDuration();  // and not NaN
  } else if (ParseHttpDate(value, &then) && ParseHttpDate(Header(headers, "date"), &now)) {
    after = then - now;
  }
  return std::min(std::max(after, absl::ZeroDuration()), kRetryAfterMax);
}

}  // namespace

absl::Status StatusOfHttpError(const Upstream& upstream, int http_status,
                               const HttpHeaders& headers, const UpstreamError& error) {
  absl::Status status = Describe(upstream, ReasonOfHttpStatus(http_status),
                                 absl::StrCat("HTTP ", http_status), error);
  const absl::Duration after = RetryAfter(headers);
  const bool can_help = MappingOf(ReasonOf(status)).retryable();
  if (after > absl::ZeroDuration() && can_help) return WithRetryAfter(std::move(status), after);
  return status;
}

absl::Status StatusOfErrorObject(const Upstream& upstream, const UpstreamError& error) {
  const auto reason =
      error.http_status != 0 ? ReasonOfHttpStatus(error.http_status) : ReasonOfKind(error.kind);
  std::string what = Sanitised(upstream, error.kind, kKindBytesMax);
  if (what.empty()) what = error.http_status != 0 ? absl::StrCat(error.http_status) : "an error";
  return Describe(upstream, reason, what, error);
}

absl::Status BadResponse(const Upstream& upstream, absl::string_view what) {
  return MakeError(Reason::UPSTREAM_BAD_RESPONSE,
                   absl::StrCat(upstream.origin, " gave an answer of no use: ", what));
}

std::string Sanitised(const Upstream& upstream, absl::string_view text, size_t bytes_max) {
  std::string line(text);
  if (!upstream.api_key.empty()) line = absl::StrReplaceAll(line, {{upstream.api_key, "***"}});
  for (char& c : line) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) c = ' ';
  }
  const bool cut = line.size() > bytes_max;
  line = std::string(Utf8Prefix(line, bytes_max));
  if (!IsValidUtf8(line)) return "(not UTF-8)";
  return cut ? absl::StrCat(line, "…") : line;
}

}  // namespace aibackend::models
