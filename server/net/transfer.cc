#include "server/net/transfer.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/status.h"
#include "server/net/url.h"

namespace aibackend::net {
namespace {

// curl asks again by itself where a kept connection breaks before an answer: the upstream may have
// closed it at that moment. Once is enough for that; curl would five times, and each may be paid.
constexpr int kRequestsMax = 2;

constexpr absl::string_view kNotInName("\r\n\0: ", 5);
constexpr absl::string_view kNotInValue("\r\n\0", 3);

bool HoldsAny(absl::string_view text, absl::string_view characters) {
  return text.find_first_of(characters) != absl::string_view::npos;
}

bool IsHttpUrl(absl::string_view url) {
  return absl::StartsWithIgnoreCase(url, "http://") || absl::StartsWithIgnoreCase(url, "https://");
}

// curl wants milliseconds, and takes 0 for "no limit of mine".
long CurlMilliseconds(absl::Duration limit) {
  constexpr int64_t kMax = 24LL * 3600 * 1000;
  return static_cast<long>(
      std::min<int64_t>(std::max<int64_t>(absl::ToInt64Milliseconds(limit), 1), kMax));
}

// What curl says in its own fixed words: its error buffer may quote the response.
std::string Detail(CURL* easy, CURLcode code) {
  long os_error = 0;
  curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &os_error);
  if (code == CURLE_COULDNT_CONNECT && os_error != 0) {
    char buffer[128];
    return strerror_r(static_cast<int>(os_error), buffer, sizeof buffer);
  }
  return curl_easy_strerror(code);
}

}  // namespace

absl::Time SteadyNow() {
  return absl::UnixEpoch() + absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

Transfer::Transfer(uint64_t id, HttpRequest request, std::shared_ptr<HttpHandler> handler,
                   absl::Time now)
    : id_(id),
      request_(std::move(request)),
      handler_(std::move(handler)),
      origin_(OriginOf(request_.url)),
      started_(now) {
  // A limit of nothing would be due again at once, for ever.
  request_.timeouts.idle = std::max(request_.timeouts.idle, absl::Milliseconds(1));
}

Transfer::~Transfer() {
  curl_slist_free_all(header_list_);
}

absl::Status Transfer::Prepare(CURL* easy) {
  easy_ = easy;
  if (!IsHttpUrl(request_.url)) {
    return MakeError(Reason::UPSTREAM_UNAVAILABLE,
                     "the upstream's address doesn't start with http:// or https://");
  }
  AIB_RETURN_IF_ERROR(PrepareHeaders());
  PrepareMethod();
  curl_easy_setopt(easy_, CURLOPT_URL, request_.url.c_str());
  curl_easy_setopt(easy_, CURLOPT_HTTPHEADER, header_list_);
  curl_easy_setopt(easy_, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy_, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy_, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy_, CURLOPT_PROXY, "");
  curl_easy_setopt(easy_, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy_, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(easy_, CURLOPT_SSL_VERIFYHOST, 2L);
  curl_easy_setopt(easy_, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy_, CURLOPT_CONNECTTIMEOUT_MS, CurlMilliseconds(request_.timeouts.connect));
  // Without this a cancelled transfer waits for its name lookup, and the event thread with it.
  curl_easy_setopt(easy_, CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(easy_, CURLOPT_PREREQFUNCTION, &Transfer::OnRequest);
  curl_easy_setopt(easy_, CURLOPT_PREREQDATA, this);
  curl_easy_setopt(easy_, CURLOPT_HEADERFUNCTION, &Transfer::OnHeaderLine);
  curl_easy_setopt(easy_, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(easy_, CURLOPT_WRITEFUNCTION, &Transfer::OnBodyBytes);
  curl_easy_setopt(easy_, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(easy_, CURLOPT_PRIVATE, this);
  return absl::OkStatus();
}

absl::Status Transfer::PrepareHeaders() {
  bool has_content_type = false;
  for (const auto& [name, value] : request_.headers) {
    // A line break would smuggle in headers, or a second request.
    if (name.empty() || HoldsAny(name, kNotInName) || HoldsAny(value, kNotInValue)) {
      return MakeError(Reason::INTERNAL, "a header for the upstream holds a control character");
    }
    has_content_type = has_content_type || absl::EqualsIgnoreCase(name, "content-type");
    // For curl "Name:" means "leave it out"; "Name;" is how it spells an empty value.
    header_list_ =
        curl_slist_append(header_list_, value.empty() ? absl::StrCat(name, ";").c_str()
                                                      : absl::StrCat(name, ": ", value).c_str());
  }
  // curl would call any body a form, and ask "may I?" (100-continue) before a large one.
  if (!has_content_type) header_list_ = curl_slist_append(header_list_, "Content-Type:");
  header_list_ = curl_slist_append(header_list_, "Expect:");
  return absl::OkStatus();
}

void Transfer::PrepareMethod() {
  if (request_.body.empty() && request_.method == "GET") return;
  if (request_.method == "HEAD") {
    curl_easy_setopt(easy_, CURLOPT_NOBODY, 1L);
    return;
  }
  curl_easy_setopt(easy_, CURLOPT_POST, 1L);
  curl_easy_setopt(easy_, CURLOPT_POSTFIELDS, request_.body.c_str());  // not copied: it stays here
  curl_easy_setopt(easy_, CURLOPT_POSTFIELDSIZE_LARGE,
                   static_cast<curl_off_t>(request_.body.size()));
  curl_easy_setopt(easy_, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
}

int Transfer::OnRequest(void* self, char*, char*, int, int) {
  auto* transfer = static_cast<Transfer*>(self);
  if (++transfer->requests_ <= kRequestsMax) return CURL_PREREQFUNC_OK;
  transfer->failure_ =
      MakeError(Reason::UPSTREAM_UNAVAILABLE,
                absl::StrCat(transfer->origin_, " closed the connection before it answered"));
  return CURL_PREREQFUNC_ABORT;
}

size_t Transfer::OnHeaderLine(char* data, size_t size, size_t count, void* self) {
  const absl::string_view line(data, size * count);
  return static_cast<Transfer*>(self)->TakeHeaderLine(line) ? line.size() : 0;
}

size_t Transfer::OnBodyBytes(char* data, size_t size, size_t count, void* self) {
  const absl::string_view bytes(data, size * count);
  // curl takes any other number than it offered for a failure, also of nothing.
  return static_cast<Transfer*>(self)->TakeBody(bytes) ? bytes.size() : bytes.size() + 1;
}

bool Transfer::TakeHeaderLine(absl::string_view line) {
  if (header_done_) return true;  // trailers after a chunked body: nobody asked for them
  header_bytes_ += line.size();
  if (header_bytes_ > kResponseHeaderBytesMax) {
    failure_ = MakeError(
        Reason::UPSTREAM_BAD_RESPONSE,
        absl::StrCat(origin_, " sent a header of more than ", kResponseHeaderBytesMax, " bytes"));
    return false;
  }
  line = absl::StripSuffix(absl::StripSuffix(line, "\n"), "\r");
  if (line.empty()) return FinishHeader();
  if (absl::StartsWith(line, "HTTP/")) {
    headers_.clear();
    return true;
  }
  const size_t colon = line.find(':');
  if (colon == absl::string_view::npos) return true;
  headers_.emplace_back(absl::AsciiStrToLower(line.substr(0, colon)),
                        std::string(absl::StripAsciiWhitespace(line.substr(colon + 1))));
  return true;
}

bool Transfer::FinishHeader() {
  long status = 0;
  curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
  if (status < 200) return true;  // an interim response: the real one follows
  status_ = static_cast<int>(status);
  header_done_ = true;
  handler_->OnHeaders(status_, headers_);
  return true;
}

bool Transfer::TakeBody(absl::string_view data) {
  body_bytes_ += data.size();
  if (body_bytes_ > request_.response_bytes_max) {
    failure_ = MakeError(Reason::UPSTREAM_BAD_RESPONSE,
                         absl::StrCat(origin_, " sent a response of more than ",
                                      request_.response_bytes_max, " bytes"));
    return false;
  }
  body_began_ = true;
  last_body_ = SteadyNow();
  handler_->OnBody(data);
  return true;
}

absl::Time Transfer::NextCheck(absl::Time now) const {
  const HttpTimeouts& limits = request_.timeouts;
  // Before the body, the idle limit can't pass sooner than its own length from now.
  const absl::Time next = body_began_ ? last_body_ + limits.idle
                                      : std::min(started_ + limits.first_byte, now + limits.idle);
  return std::min(started_ + limits.total, next);
}

absl::Status Transfer::Expire(absl::Time now) const {
  const HttpTimeouts& limits = request_.timeouts;
  if (now >= started_ + limits.total) {
    return MakeError(Reason::UPSTREAM_TIMEOUT,
                     absl::StrCat(origin_, " took longer than ", absl::FormatDuration(limits.total),
                                  " in all (total timeout)"));
  }
  if (!body_began_ && now >= started_ + limits.first_byte) {
    return MakeError(
        Reason::UPSTREAM_TIMEOUT,
        absl::StrCat(origin_, " sent nothing of its answer within ",
                     absl::FormatDuration(limits.first_byte), " (first byte timeout)"));
  }
  if (body_began_ && now >= last_body_ + limits.idle) {
    return MakeError(Reason::UPSTREAM_TIMEOUT,
                     absl::StrCat(origin_, " went silent for ", absl::FormatDuration(limits.idle),
                                  " in the middle of its answer (idle timeout)"));
  }
  return absl::OkStatus();
}

absl::Status Transfer::Outcome(CURLcode code) const {
  if (!failure_.ok()) return failure_;
  if (code == CURLE_OK && header_done_) return absl::OkStatus();
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT:  // only the connect limit is curl's
      return MakeError(
          Reason::UPSTREAM_TIMEOUT,
          absl::StrCat("no connection to ", origin_, " within ",
                       absl::FormatDuration(request_.timeouts.connect), " (connect timeout)"));
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
      return MakeError(Reason::UPSTREAM_BAD_RESPONSE,
                       absl::StrCat(origin_, " answered with something that is not HTTP"));
    case CURLE_OK:
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
      if (header_done_) {
        return MakeError(Reason::UPSTREAM_TRUNCATED,
                         absl::StrCat(origin_, " broke off in the middle of its answer"));
      }
      return MakeError(Reason::UPSTREAM_UNAVAILABLE,
                       absl::StrCat(origin_, " closed the connection before it answered"));
    default:
      return MakeError(header_done_ ? Reason::UPSTREAM_BAD_RESPONSE : Reason::UPSTREAM_UNAVAILABLE,
                       absl::StrCat("cannot reach ", origin_, ": ", Detail(easy_, code)));
  }
}

}  // namespace aibackend::net
