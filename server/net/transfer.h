// One HTTP exchange: a libcurl easy handle, what its callbacks gather, and how its end reads.
#pragma once

#include <curl/curl.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/net/http_client.h"

namespace aibackend::net {

// A response's header is held in memory before anybody sees it; curl itself allows 100 KB a line.
constexpr size_t kResponseHeaderBytesMax = size_t{64} * 1024;

// Time that doesn't jump with the wall clock; only differences mean anything.
absl::Time SteadyNow();

// Belongs to the event thread. Its address must not change while it runs: curl holds it.
class Transfer {
 public:
  Transfer(uint64_t id, HttpRequest request, std::shared_ptr<HttpHandler> handler, absl::Time now);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  // Makes `easy` (which the caller owns, and which must outlive the exchange) ready to run. An
  // error is the request's own: it can never be sent.
  absl::Status Prepare(CURL* easy);

  // How an exchange ended, told from curl's verdict and what the callbacks saw.
  absl::Status Outcome(CURLcode code) const;

  // UPSTREAM_TIMEOUT if a limit has passed by `now`, else OK.
  absl::Status Expire(absl::Time now) const;
  // When to ask Expire() next. Whatever arrives in between, no limit passes before that.
  absl::Time NextCheck(absl::Time now) const;

  uint64_t id() const { return id_; }
  CURL* easy() const { return easy_; }
  const std::string& origin() const { return origin_; }
  HttpHandler& handler() { return *handler_; }

  absl::Time next_check;  // the loop's own: the key under which it filed this transfer

 private:
  static int OnRequest(void* self, char*, char*, int, int);
  static size_t OnHeaderLine(char* data, size_t size, size_t count, void* self);
  static size_t OnBodyBytes(char* data, size_t size, size_t count, void* self);
  bool TakeHeaderLine(absl::string_view line);
  bool TakeBody(absl::string_view data);
  bool FinishHeader();
  absl::Status PrepareHeaders();
  void PrepareMethod();

  const uint64_t id_;
  HttpRequest request_;
  const std::shared_ptr<HttpHandler> handler_;
  const std::string origin_;
  const absl::Time started_;

  CURL* easy_ = nullptr;
  curl_slist* header_list_ = nullptr;
  int requests_ = 0;  // sent, or about to be
  int status_ = 0;
  std::vector<std::pair<std::string, std::string>> headers_;
  size_t header_bytes_ = 0;
  size_t body_bytes_ = 0;
  bool header_done_ = false;
  bool body_began_ = false;
  absl::Time last_body_;
  absl::Status failure_;  // why a callback stopped curl
};

}  // namespace aibackend::net
