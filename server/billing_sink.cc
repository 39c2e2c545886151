#include "server/billing_sink.h"

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "nlohmann/json.hpp"
#include "server/base/status.h"
#include "server/base/text.h"
#include "server/net/url.h"

namespace aibackend {
namespace {

constexpr size_t kAnswerBytesMax = 256 << 10;  // an error of Stripe's has less than 2 KiB
constexpr size_t kMessageBytesMax = 500;
constexpr int64_t kRetryAfterSecondsMax = 86'400;

// application/x-www-form-urlencoded (URL Standard, 5.2): all but letters, digits and *-._ by their
// bytes.
std::string Escaped(absl::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(byte) || absl::StrContains("*-._", absl::string_view(&c, 1))) {
      out.push_back(c);
    } else {
      out.append({'%', kHex[byte >> 4], kHex[byte & 0xF]});
    }
  }
  return out;
}

std::string Form(std::initializer_list<std::pair<absl::string_view, std::string>> fields) {
  std::string form;
  for (const auto& [name, value] : fields) {
    absl::StrAppend(&form, form.empty() ? "" : "&", Escaped(name), "=", Escaped(value));
  }
  return form;
}

// Of {"error": {"message": …}}, or the beginning of what there is instead.
std::string MessageOf(const std::string& body) {
  const auto json = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (json.is_object() && json.contains("error") && json["error"].is_object()) {
    const auto& error = json["error"];
    if (error.contains("message") && error["message"].is_string()) {
      return std::string(Utf8Prefix(error["message"].get<std::string>(), kMessageBytesMax));
    }
  }
  return IsValidUtf8(body) ? std::string(Utf8Prefix(body, kMessageBytesMax)) : "";
}

class Exchange final : public net::HttpHandler {
 public:
  Exchange(std::string origin, std::string identifier, std::function<void(absl::Status)> on_done)
      : origin_(std::move(origin)),
        identifier_(std::move(identifier)),
        on_done_(std::move(on_done)) {}

  void OnHeaders(int status,
                 const std::vector<std::pair<std::string, std::string>>& headers) override {
    status_ = status;
    for (const auto& [name, value] : headers) {
      int64_t seconds = 0;
      if (name == "retry-after" && absl::SimpleAtoi(value, &seconds) && seconds >= 0) {
        retry_after_ = absl::Seconds(std::min(seconds, kRetryAfterSecondsMax));
      }
    }
  }
  void OnBody(absl::string_view data) override { body_.append(data.data(), data.size()); }
  // An answer of 2xx that is cut off may have been accepted: sent again, it is then a duplicate.
  void OnDone(absl::Status status) override { on_done_(status.ok() ? Judge() : status); }

 private:
  bool AlreadyExists() const {
    return (status_ == 400 || status_ == 409) && absl::StrContains(body_, identifier_) &&
           absl::StrContains(absl::AsciiStrToLower(body_), "already exists");
  }

  absl::Status Judge() const {
    if ((status_ >= 200 && status_ < 300) || AlreadyExists()) return absl::OkStatus();
    auto reason = Reason::UPSTREAM_REJECTED_REQUEST;
    if (status_ == 429) reason = Reason::UPSTREAM_RATE_LIMITED;
    // Another 409 is of two requests about the same thing at once.
    if (status_ >= 500 || status_ == 408 || status_ == 409) reason = Reason::UPSTREAM_UNAVAILABLE;
    absl::Status error =
        MakeError(reason, absl::StrCat(origin_, " answered ", status_, " to the event ",
                                       identifier_, ": ", MessageOf(body_)));
    if (reason == Reason::UPSTREAM_REJECTED_REQUEST || !retry_after_) return error;
    return WithRetryAfter(error, *retry_after_);
  }

  const std::string origin_;
  const std::string identifier_;
  const std::function<void(absl::Status)> on_done_;
  int status_ = 0;
  absl::optional<absl::Duration> retry_after_;
  std::string body_;
};

}  // namespace

StripeMeterSink::StripeMeterSink(net::HttpClient& client, Options options)
    : client_(client), options_(std::move(options)) {}

void StripeMeterSink::Send(const tasks::BillingEvent& event,
                           std::function<void(absl::Status)> on_done) {
  net::HttpRequest request;
  request.url = options_.url;
  request.timeouts = options_.timeouts;
  request.response_bytes_max = kAnswerBytesMax;
  // No Idempotency-Key: it would repeat a failure for a day, and the identifier dedupes already.
  request.headers = {{"Content-Type", "application/x-www-form-urlencoded"}};
  if (!options_.key.empty()) {
    request.headers.emplace_back("Authorization", absl::StrCat("Bearer ", options_.key));
  }
  request.body = Form({{"event_name", options_.event_name},
                       {"timestamp", absl::StrCat(absl::ToUnixSeconds(event.at))},
                       {"identifier", event.identifier},
                       {"payload[stripe_customer_id]", event.customer},
                       {"payload[value]", absl::StrCat(event.value)}});
  client_.Start(std::move(request),
                std::make_shared<Exchange>(net::OriginOf(options_.url), event.identifier,
                                           std::move(on_done)));
}

}  // namespace aibackend
